"""Stands in for inference on a real bus: takes commands, and says exactly what a test wants said."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import (
    AttachGeneration,
    CancelGeneration,
    GenerateText,
    GenerationState,
    GenerationStates,
    Outcome,
    ReadGeneration,
    ReadGenerations,
    Tokens,
)
from penstock_common.contracts.stream import Delta, Ended, Failure, Frame, Whole, channel_key, pack
from penstock_common.messaging.connect import make_bus
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import (
    ATTACH_GENERATION,
    CANCEL_GENERATION,
    PLATFORM,
    READ_GENERATION,
    READ_GENERATIONS,
)

TOKENS = Tokens(prompt=7, completion=3)
TEXT = ("Water ", "flows ", "down.")


def deltas(*texts: str, attempt: int = 1, choice: int = 0, channel: str = "content") -> list[Frame]:
    """One delta a text, placed one after another."""
    frames: list[Frame] = []
    offset = 0
    for text in texts:
        frames.append(Delta(attempt, choice, channel, offset, text))
        offset += len(text)
    return frames


def ended(lengths: dict[str, int] | None = None, *, attempt: int = 1, finish: dict[int, str] | None = None) -> Ended:
    """A success; by default of the answer `TEXT`."""
    given = {"0/content": sum(map(len, TEXT))} if lengths is None else lengths
    return Ended(attempt, Outcome.SUCCEEDED, {0: "stop"} if finish is None else finish, given, TOKENS)


def failed(code: str, fault: str, *, attempt: int = 1, retry_after: float = 0.0) -> Ended:
    """An end without an answer."""
    return Ended(attempt, Outcome.FAILED, {}, {}, Tokens(), Failure(code, fault, "The engine is down.", retry_after))


def whole_answer(text: str = "".join(TEXT)) -> list[Frame]:
    """An unstreamed answer and its end."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "engine-1", "object": "chat.completion", "created": 1, "model": "upstream", "choices": [choice]}
    return [Whole(1, json.dumps(body).encode()), ended({})]


def asked_for(frames: Sequence[Frame], attach: AttachGeneration) -> list[Frame]:
    """What an owner sends: everything, or of each text what is lacking and as much as there is room for in all."""
    if not attach.most:
        return list(frames)
    found: list[Frame] = []
    left = attach.most
    for frame in frames:
        if isinstance(frame, Delta):
            start = max(attach.offsets.get(channel_key(frame.choice, frame.channel), 0) - frame.offset, 0)
            text = frame.text[start : start + left]
            left -= len(text)
            found.append(Delta(frame.attempt, frame.choice, frame.channel, frame.offset + start, text))
        elif left:
            found.append(frame)
    return found


class Call:
    """One command, its opened body, and the way to its client."""

    def __init__(self, bus: Bus, command: GenerateText, body: dict[str, Any]) -> None:
        self.bus, self.command, self.body = bus, command, body

    def say(self, *frames: Frame) -> None:
        """Send frames as one message."""
        self.bus.send(self.command.reply_to, str(self.command.request_id), pack(frames))


Script = Callable[[Call], Awaitable[None]]


async def answer(call: Call) -> None:
    """What a healthy engine does."""
    if not call.command.streamed:
        return call.say(*whole_answer())
    for frame in deltas(*TEXT):
        call.say(frame)
    return call.say(ended())


class FakeInference:
    """Everything that was asked of it, and how it reacts."""

    def __init__(self, bus: Bus, sealer: Sealer) -> None:
        self.bus, self.sealer = bus, sealer
        self.script: Script = answer
        self.attached: Sequence[Frame] = ()
        """What an owner sends to a process that attaches."""
        self.recorded: Sequence[Frame] = ()
        """What the row holds; empty for a request that it does not know."""
        self.calls: list[Call] = []
        self.attaches: list[AttachGeneration] = []
        self.reads: list[ReadGeneration] = []
        self.cancels: list[CancelGeneration] = []

    async def start(self) -> None:
        """Take commands, hear broadcasts, answer queries."""
        lane = PLATFORM.consumer("inference", "generate_text")
        delivery = Delivery(self.bus.settler)

        async def deliver(message: Incoming) -> None:
            await delivery.run(self._take, message, lane)

        await self.bus.pull(lane, deliver)
        await self.bus.listen(ATTACH_GENERATION, self._attach)
        await self.bus.listen(CANCEL_GENERATION, self._cancel)
        await self.bus.answer(READ_GENERATION, self._read)
        await self.bus.answer(READ_GENERATIONS, self._read_states)

    async def cancelled(self, seconds: float = 5.0) -> CancelGeneration:
        """The first stop that was asked for, and heard within this time."""
        async with asyncio.timeout(seconds):
            while not self.cancels:
                await asyncio.sleep(0.01)
        return self.cancels[0]

    async def _take(self, message: Incoming) -> None:
        command = opened(message, GenerateText)
        body = json.loads(self.sealer.open(str(command.request_id), command.sealed))
        call = Call(self.bus, command, body)
        self.calls.append(call)
        await self.script(call)

    async def _attach(self, body: bytes) -> None:
        attach = decode(AttachGeneration, body)
        self.attaches.append(attach)
        if self.attached:
            self.bus.send(attach.reply_to, str(attach.request_id), pack(asked_for(self.attached, attach)))

    async def _cancel(self, body: bytes) -> None:
        self.cancels.append(decode(CancelGeneration, body))

    async def _read(self, body: bytes) -> bytes:
        read = decode(ReadGeneration, body)
        self.reads.append(read)
        if self.recorded:
            self.bus.send(read.reply_to, str(read.request_id), pack(self.recorded))
        return encode(self._state(read.request_id))

    async def _read_states(self, body: bytes) -> bytes:
        return encode(GenerationStates(states=[self._state(id_) for id_ in decode(ReadGenerations, body).request_ids]))

    def _state(self, request_id: UUID) -> GenerationState:
        return GenerationState(request_id=request_id, outcome=Outcome.SUCCEEDED if self.recorded else "unknown")


@asynccontextmanager
async def fake_inference(bus_url: str, keyring: Path) -> AsyncIterator[FakeInference]:
    """One, connected."""
    bus = make_bus(bus_url, "inference")
    await bus.connect()
    inference = FakeInference(bus, Sealer(LocalKeyring(keyring)))
    await inference.start()
    yield inference
    await bus.close()
