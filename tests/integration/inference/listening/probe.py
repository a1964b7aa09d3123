"""What an api process says and hears on the bus, at a test's command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from penstock_common.asking.commands import outgoing_of
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import (
    AttachGeneration,
    FindGeneration,
    GenerateText,
    GenerationFound,
    GenerationState,
    GenerationTakenOver,
    ReadGeneration,
)
from penstock_common.contracts.stream import Delta, Ended, Frame, channel_key, unpack
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import make_bus
from penstock_common.messaging.ports import Bus
from penstock_common.topology import (
    ATTACH_GENERATION,
    FIND_GENERATION,
    GENERATION_TAKEN_OVER,
    READ_GENERATION,
)

QUERY_SECONDS = 5.0


class Probe:
    """One inbox, and all that came into it."""

    def __init__(self, bus: Bus) -> None:
        self.bus, self.process = bus, f"api-{uuid7().hex}"
        self.frames: list[Frame] = []
        self.taken_over: list[GenerationTakenOver] = []

    async def start(self) -> None:
        """Receive, and hear of take-overs."""
        await self.bus.receive(self.process, lambda _, body: self.frames.extend(unpack(body)))
        await self.bus.listen(GENERATION_TAKEN_OVER, self._taken_over)

    async def _taken_over(self, body: bytes) -> None:
        self.taken_over.append(decode(GenerationTakenOver, body))

    async def publish(self, command: GenerateText) -> None:
        """Have it answered by whoever takes it."""
        await self.bus.publish(outgoing_of(command), 5.0)

    async def attach(self, request_id: UUID, **given: Any) -> None:
        """Ask whoever runs it."""
        attach = AttachGeneration(request_id=request_id, reply_to=self.process, **given)
        await self.bus.broadcast(ATTACH_GENERATION, encode(attach))

    async def find(self, request_id: UUID) -> GenerationFound:
        """Who runs it."""
        find = FindGeneration(request_id=request_id, asking=self.process)
        return decode(GenerationFound, await self.bus.query(FIND_GENERATION, encode(find), QUERY_SECONDS))

    async def read(self, request_id: UUID, *, reply: bool = True, **given: Any) -> GenerationState:
        """What is recorded."""
        read = ReadGeneration(request_id=request_id, reply_to=self.process if reply else "", **given)
        return decode(GenerationState, await self.bus.query(READ_GENERATION, encode(read), QUERY_SECONDS))

    @property
    def texts(self) -> dict[str, str]:
        """What came, in order of its arrival and without a gap."""
        texts: dict[str, str] = {}
        for frame in self.frames:
            if isinstance(frame, Delta):
                key = channel_key(frame.choice, frame.channel)
                held = texts.get(key, "")
                assert frame.offset <= len(held), "a gap"
                texts[key] = held[: frame.offset] + frame.text
        return texts

    @property
    def held(self) -> dict[str, int]:
        """Characters that came, by channel."""
        return {key: len(text) for key, text in self.texts.items()}

    @property
    def ends(self) -> list[Ended]:
        """The ends that came."""
        return [frame for frame in self.frames if isinstance(frame, Ended)]

    async def until(self, done: Any, seconds: float = 20.0) -> None:
        """Wait until something came."""
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def probing(bus_url: str) -> AsyncIterator[Probe]:
    """One that is connected."""
    bus = make_bus(bus_url, "api")
    await bus.connect()
    probe = Probe(bus)
    await probe.start()
    yield probe
    await bus.close()
