"""The relay of one streamed answer with its bus and its client taken away: frames go in, events come out."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from openai._streaming import ServerSentEvent, SSEDecoder

from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import ClientLeft
from penstock_api.domain.openai_format import EventWriter, Identity
from penstock_api.domain.position import Position
from penstock_api.routes.chat import stream
from penstock_api.routes.reply import Reply
from penstock_common.contracts.stream import Frame
from penstock_common.errors import PenstockError
from penstock_common.http_exchange import EXCHANGE

IDENTITY = Identity("chatcmpl-1", 1_763_719_200, "fast")


class Fed:
    """A `Generation` that hears its messages one by one, whenever its client has read what there is."""

    def __init__(self, answer: Answer, messages: Sequence[Sequence[Frame]]) -> None:
        self.answer, self._messages = answer, list(messages)
        self.accepted_at, self.repeated = datetime.now(UTC), False

    @property
    def request_id(self) -> UUID:
        """Any."""
        return uuid4()

    async def changed(self) -> None:
        """The next message; the client leaves after the last."""
        if not self._messages:
            raise ClientLeft
        self.answer.feed(self._messages.pop(0))

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AssertionError(f"the relay of a stream uses no {name}")


@dataclass
class Relayed:
    """An `Exchange` without a connection: what a client was sent."""

    status: int = 0
    body: bytes = b""
    is_full: bool = False

    def start(self, status: int, head: bytes, body: bytes = b"", *, keep_alive: bool = True) -> None:
        """The status, and a body without framing."""
        self.status, self.body = status, body

    def chunk(self, data: bytes, *, is_last: bool = False) -> None:
        """Some of a body."""
        self.body += data

    def finish(self) -> None:
        """Nothing follows."""

    @property
    def events(self) -> list[ServerSentEvent]:
        """The events, by the official client's decoder."""
        return list(SSEDecoder().iter_bytes(iter([self.body])))


def relay(
    messages: Sequence[Sequence[Frame]], *, usage: bool = False, after: str | None = None, restarts: bool = False
) -> Relayed:
    """Stream an answer that arrives in these messages to a client that comes back after a position."""
    position = Position.parse(after) if after is not None else None
    answer = Answer(streamed=True, after=position, restarts=restarts)
    return asyncio.run(_relay(Fed(answer, messages), EventWriter(IDENTITY, usage)))


async def _relay(generation: Any, writer: EventWriter) -> Relayed:
    sent = Relayed()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope: Any = {"state": {"request_id": uuid4(), "name": "x"}, "path": "/stream", "extensions": {EXCHANGE: sent}}
    reply = Reply(scope, receive, 1.0)
    try:
        await stream(reply, generation, writer)
    except PenstockError as error:
        await reply.fail(error)
    except ClientLeft:
        pass
    return sent


@dataclass
class Client:
    """What a client makes of the events that it got, over all of its connections."""

    text: dict[tuple[int, str], str] = field(default_factory=dict)
    tokens: dict[int, str] = field(default_factory=dict)
    """The logprobs' tokens by choice."""
    once: list[tuple[object, ...]] = field(default_factory=list)
    """What must be told once: roles, tool calls, finish reasons, usage, the end or the failure."""

    def hear(self, events: Sequence[ServerSentEvent]) -> "Client":
        """Take events in order."""
        for event in events:
            if event.event == "attempt":
                self.text, self.tokens, self.once = {}, {}, []
            elif event.data == "[DONE]":
                self.once.append(("done",))
            else:
                self._chunk(json.loads(event.data))
        return self

    def _chunk(self, chunk: dict[str, Any]) -> None:
        for member in ("usage", "error"):
            if chunk.get(member):
                self.once.append((member, json.dumps(chunk[member])))
        for choice in chunk.get("choices", ()):
            self._delta(choice["index"], choice["delta"])
            if choice["finish_reason"]:
                self.once.append(("finish", choice["index"], choice["finish_reason"]))
            for entry in (choice["logprobs"] or {}).get("content") or ():
                self.tokens[choice["index"]] = self.tokens.get(choice["index"], "") + entry["token"]

    def _delta(self, choice: int, delta: dict[str, Any]) -> None:
        if delta.get("role"):
            self.once.append(("role", choice))
        for name in ("content", "reasoning_content", "refusal"):
            self._add(choice, name, delta.get(name) or "")
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                self.once.append(("call", choice, call["index"], call["id"], call["function"]["name"]))
            self._add(choice, f"tool.{call['index']}", call["function"]["arguments"])

    def _add(self, choice: int, name: str, text: str) -> None:
        if text:
            self.text[choice, name] = self.text.get((choice, name), "") + text

    @property
    def told(self) -> tuple[object, ...]:
        """Everything, comparable: what is told once in any order of choices, but each as often as it was."""
        return (self.text, self.tokens, sorted(map(str, self.once)))
