"""One engine's answer on the wire, and what becomes of the request: a row of the tables beside this module."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from penstock_common.contracts.generation import Measure, Outcome, Tokens
from penstock_common.contracts.stream import Delta, Frame, ToolCall, channel_key
from penstock_common.ids import uuid7
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.ending import End, request_key
from penstock_inference.ports import EngineCall, EngineEvent, WholeAnswer
from tests.support.engine_fake import DONE, chunk, event, usage_chunk
from tests.support.engine_wire import Wire, WireEngine, sent
from tests.support.generation_fakes import ESTIMATE, ScriptedEngine
from tests.unit.inference.generating.conftest import World

MEASURED = Tokens(9, 2)
PARTIAL = Tokens(ESTIMATE.prompt, ESTIMATE.completion, measure=Measure.PARTIAL)
NOTHING = Tokens()
BUSY_SECONDS = 4.0
"""More than any answer takes that waits for nothing."""

ROLE, HEL, LO, STOP = (
    event(chunk(role="assistant", content="")),
    event(chunk(content="Hel")),
    event(chunk(content="lo")),
    event(chunk(finish="stop")),
)
COUNTS = event(usage_chunk(9, 2))
HELLO = (ROLE, HEL, LO, STOP)
FINE = sent(event(chunk(content="fine", finish="stop")), COUNTS, DONE)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the engine sends, and what is recorded, told and charged."""

    name: str
    wire: Wire
    outcome: Outcome = Outcome.SUCCEEDED
    code: str = ""
    """Of the error."""
    says: str = ""
    """What its message says."""
    texts: Mapping[str, str] = field(default_factory=lambda: {"0/content": "Hello"})
    """By choice and channel."""
    calls: tuple[tuple[int, int, str, str], ...] = ()
    """Tool calls: choice, index, id, name."""
    finish: Mapping[int, str] = field(default_factory=lambda: {0: "stop"})
    tokens: Tokens = ESTIMATE
    within: float = BUSY_SECONDS
    clean: bool = True
    """Whether HTTP was kept to, so that the connection may serve the next request."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """Members of the request's body."""
    hasty: bool = False
    """Whether the engine has half a second for each thing that it may take its time for."""
    left: float = 60.0
    """Seconds to the request's deadline."""


def good(name: str, wire: Wire, text: str = "Hello", **more: Any) -> Case:
    """An answer that is right all the same."""
    given: dict[str, Any] = {"texts": {"0/content": text}}
    return Case(name=name, wire=wire, **given | more)


def partial(name: str, wire: Wire, code: str, text: str = "Hel", **more: Any) -> Case:
    """An answer that breaks off: what came of it is kept and charged."""
    given: dict[str, Any] = {"outcome": Outcome.PARTIAL, "texts": {"0/content": text}, "finish": {}, "tokens": PARTIAL}
    return Case(name=name, wire=wire, code=code, **given | {"clean": False} | more)


def failed(name: str, wire: Wire, code: str, **more: Any) -> Case:
    """No answer, which costs nothing."""
    given: dict[str, Any] = {"outcome": Outcome.FAILED, "texts": {}, "finish": {}, "tokens": NOTHING}
    return Case(name=name, wire=wire, code=code, **given | {"clean": False} | more)


class Elsewhere(ScriptedEngine):
    """The HTTP engine, whatever the model."""

    def __init__(self, engine: CompatibleEngine, model: Model) -> None:
        super().__init__()
        self.engine, self.model = engine, model

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """What the engine streams."""
        async with aclosing(self.engine.stream(replace(call, model=self.model))) as stream:
            async for events in stream:
                yield events

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """What the engine answers."""
        return await self.engine.complete(replace(call, model=self.model))


@dataclass
class Rig:
    """A generator, and the engine that it calls."""

    world: World
    upstream: WireEngine
    idle: float = 0.0
    """Seconds between the row's request and the next."""

    async def answer(self, asked: Mapping[str, Any], *, left: float = 60.0, streamed: bool = True) -> End:
        """Have a request answered; its end, as it was recorded."""
        request_id, tenant = uuid7(), uuid7()
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], **asked}).encode()
        sealed = self.world.sealer.seal(tenant, request_key(request_id), body)
        self.world.audience.told.clear()
        await self.world.answer(
            self.world.command(request_id=request_id, tenant=tenant, sealed=sealed, left=left, streamed=streamed)
        )
        return self.world.records.ends[-1]

    async def must_be(self, case: Case) -> None:
        """Have a row's request answered as the row says, and the next one as if nothing had been."""
        self.upstream.will(case.wire, FINE)
        began = time.monotonic()
        end = await self.answer(case.asked, left=case.left)
        assert time.monotonic() - began < case.within
        said = (end.outcome, end.failure.code if end.failure else "", end.ended.finish, end.tokens)
        assert said == (case.outcome, case.code, case.finish, case.tokens)
        assert case.says in (end.failure.message if end.failure else "")
        assert texts_of(end.frames) == texts_of(self.world.audience.frames()) == case.texts
        assert calls_of(end.frames) == calls_of(self.world.audience.frames()) == case.calls
        await asyncio.sleep(self.idle)
        await self.must_be_healthy(reused=case.clean)

    async def must_fail_whole(self, case: Case) -> None:
        """The same for an unstreamed request."""
        self.upstream.will(case.wire, FINE)
        began = time.monotonic()
        end = await self.answer(case.asked, left=case.left, streamed=False)
        assert time.monotonic() - began < case.within
        assert end.failure
        assert (end.outcome, end.failure.code, end.tokens) == (case.outcome, case.code, NOTHING)
        assert case.says in end.failure.message
        assert len(end.frames) == len(self.world.audience.frames()) == 1
        await self.must_be_healthy(reused=case.clean)

    async def must_be_healthy(self, *, reused: bool) -> None:
        """The next request is answered, on the same connection only where that may be."""
        end = await self.answer({})
        assert (texts_of(end.frames), end.tokens) == ({"0/content": "fine"}, MEASURED)
        assert (self.upstream.opened_on[-1] == self.upstream.opened_on[-2]) is reused


def texts_of(frames: Iterable[Frame]) -> dict[str, str]:
    """Text by choice and channel; fails where a piece is out of place."""
    texts: dict[str, str] = {}
    for frame in frames:
        if isinstance(frame, Delta):
            key = channel_key(frame.choice, frame.channel)
            assert len(texts.get(key, "")) == frame.offset
            texts[key] = texts.get(key, "") + frame.text
    return texts


def calls_of(frames: Iterable[Frame]) -> tuple[tuple[int, int, str, str], ...]:
    """Tool calls in order."""
    return tuple((f.choice, f.index, f.id, f.name) for f in frames if isinstance(f, ToolCall))
