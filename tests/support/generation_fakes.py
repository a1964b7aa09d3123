"""What a generation needs from outside, in memory. `MemoryRecords` passes the suite of the real records."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from penstock_common.contracts.base import Decision
from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import (
    About,
    GenerateText,
    GenerationState,
    Measure,
    OnDisconnect,
    Tokens,
)
from penstock_common.contracts.stream import Delta, Ended, Frame, Whole
from penstock_common.errors import BusUnavailable, DatabaseUnavailable
from penstock_common.ids import uuid7
from penstock_common.messaging.ports import Bus
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.ending import End, request_key
from penstock_inference.domain.output import Output
from penstock_inference.domain.takeover import Held
from penstock_inference.generating.ports import Recorded
from penstock_inference.ports import Engine, EngineCall, EngineEvent, WholeAnswer

MODEL = Model(
    name="some/model",
    engine="openai-compatible",
    dialect="vllm",
    upstream_model="upstream",
    price=Price(version=7, currency="USD", input_nano=1, output_nano=2, cached_input_nano=1),
)
ESTIMATE = Tokens(11, 5, measure=Measure.ESTIMATED)
API, OTHER_API = "api-1", "api-2"


def a_command(sealer: Sealer, *, age: float = 0.0, left: float = 60.0, **given: Any) -> GenerateText:
    """A command accepted `age` seconds ago, with `left` seconds to its deadline."""
    request_id, tenant, now = uuid7(), uuid7(), datetime.now(UTC)
    return GenerateText(
        **{
            "request_id": request_id,
            "tenant": tenant,
            "key_id": uuid7(),
            "model": MODEL.name,
            "catalogue_version": 1,
            "sealed": sealer.seal(tenant, request_key(request_id), b'{"messages":[{"role":"user","content":"Hi"}]}'),
            "body_mac": "00",
            "streamed": True,
            "reply_to": API,
            "accepted_at": now - timedelta(seconds=age),
            "deadline": now + timedelta(seconds=left),
            "on_disconnect": OnDisconnect.CANCEL,
            **given,
        }
    )


class MovedClock:
    """Real time, plus what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        """The moved time, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def boottime(self) -> float:
        """Seconds that only a test lets pass."""
        return 1000.0 + self.ahead


def connection(*, connected: bool = True) -> Bus:
    """As much of a bus as a lease looks at."""
    return cast("Bus", SimpleNamespace(connected=connected))


@dataclass
class Row:
    """What decides."""

    attempt: int
    outcome: str
    owner: str = ""
    frames: list[Frame] = field(default_factory=list)
    command: GenerateText | None = field(default=None, compare=False)
    end: End | None = field(default=None, compare=False)
    claims: list[Decision] = field(default_factory=list, compare=False)

    def state(self, request_id: UUID) -> GenerationState:
        """What is told of it."""
        command, end = self.command, self.end
        given = command.decisions if command else []
        return GenerationState(
            request_id=request_id,
            outcome=self.outcome,
            attempt=self.attempt,
            about=About.of(command) if command else None,
            tokens=end.tokens if end else None,
            error_code=end.failure.code if end and end.failure else "",
            started_at=end.started_at if end else None,
            first_token_at=end.first_token_at if end else None,
            ended_at=end.ended_at if end else None,
            decisions=[*self.claims, *given, *end.decisions] if end else [*given, *self.claims],
            is_kept=bool(self.frames),
        )


class MemoryRecords:
    """Implements `Records` on a dictionary; `away` is a database that does not answer."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Row] = {}
        self.ends: list[End] = []
        """Those that count, in order."""
        self.costs: list[End] = []
        self.lost: list[tuple[UUID, int]] = []
        """(request, attempt) of attempts that a claim gave up for lost."""
        self.cancelled: set[UUID] = set()
        self.away = False
        self.unnoticed = False
        """Whether `stalled` does not know yet that the database is away."""
        self.failure: Exception | None = None
        """Raised by every `finish`."""

    @property
    def stalled(self) -> bool:
        """Whether the database is known to be away."""
        return self.away and not self.unnoticed

    async def finish(self, end: End) -> bool:
        """The first end that is not older than the row counts."""
        while self.away:
            await asyncio.sleep(0.005)
        if self.failure:
            raise self.failure
        row = self.rows.get(end.command.request_id)
        if row and (row.outcome != "running" or row.attempt > end.attempt):
            return False
        claims = row.claims if row else []
        self.rows[end.command.request_id] = Row(
            end.attempt, end.outcome.value, frames=list(end.frames), command=end.command, end=end, claims=claims
        )
        self.ends.append(end)
        return True

    async def claim(self, command: GenerateText, process: str) -> int | None:
        """The next attempt's number, unless the request ended."""
        self._answer()
        row = self.rows.setdefault(command.request_id, Row(1, "running", command=command))
        if row.outcome != "running":
            return None
        self.lost.append((command.request_id, row.attempt))
        row.attempt, row.owner = row.attempt + 1, process
        row.claims.append(Decision("claim", f"attempt {row.attempt}", process))
        return row.attempt

    async def confirm(self, command: GenerateText, attempt: int, process: str) -> bool:
        """Whether nobody claimed since."""
        self._answer()
        row = self.rows.setdefault(command.request_id, Row(attempt, "running", process, command=command))
        return row.outcome == "running" and row.attempt == attempt

    async def read(self, request_id: UUID, *, with_answer: bool = True) -> Recorded | None:
        """The row."""
        self._answer()
        row = self.rows.get(request_id)
        if row is None:
            return None
        return Recorded(row.state(request_id), row.frames if with_answer else [])

    async def states(self, request_ids: Sequence[UUID]) -> dict[UUID, GenerationState]:
        """Those of the rows that are there."""
        self._answer()
        return {id_: row.state(id_) for id_ in request_ids if (row := self.rows.get(id_))}

    async def is_cancelled(self, request_id: UUID) -> bool:
        """Whether a test marked it."""
        self._answer()
        return request_id in self.cancelled

    async def cost(self, end: End) -> None:
        """Keep it."""
        self._answer()
        self.costs.append(end)

    def _answer(self) -> None:
        if self.away:
            raise DatabaseUnavailable


class Audience:
    """Implements `Listeners`: keeps what every process was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Frame]] = []
        self.deaf = False
        """Whether nothing leaves."""
        self.owners: set[UUID] = set()
        """Requests that another process runs."""
        self.waiting: set[UUID] = set()
        """Requests that an api process holds open."""
        self.holds: dict[UUID, Held] = {}
        """What an api process has of an answer."""
        self.away = False
        """Whether nobody can be asked."""
        self.asked: list[UUID] = []
        """Requests that somebody was asked for."""
        self.taken_over: list[tuple[UUID, int]] = []
        """(request, attempt) that were announced."""
        self.on_taken_over: Callable[[UUID], None] = lambda _: None
        self.answering = asyncio.Event()
        """Cleared where questions wait for an answer."""
        self.answering.set()

    def send(self, process: str, request_id: UUID, frames: list[Frame]) -> bool:
        """Keep the frames."""
        if not self.deaf:
            self.told += [(process, frame) for frame in frames]
        return not self.deaf

    async def anyone_waits(self, request_id: UUID) -> bool:
        """As a test said."""
        self.asked.append(request_id)
        await self.answering.wait()
        return request_id in self.waiting

    async def held(self, request_id: UUID) -> Held | None:
        """As a test said; whoever only waits has nothing yet."""
        if self.away:
            raise BusUnavailable
        return self.holds.get(request_id) or (Held(Output()) if request_id in self.waiting else None)

    async def owner_lives(self, request_id: UUID) -> bool:
        """As a test said."""
        return request_id in self.owners

    async def took_over(self, request_id: UUID, attempt: int) -> None:
        """Keep it."""
        self.taken_over.append((request_id, attempt))
        self.on_taken_over(request_id)

    def frames(self, process: str = API) -> list[Frame]:
        """All that a process was told."""
        return [frame for told, frame in self.told if told == process]

    def text(self, process: str = API, channel: str = "content") -> str:
        """A channel of choice 0 as that process has it, placed by offset; a gap shows as `_`."""
        text = ""
        for frame in self.frames(process):
            if isinstance(frame, Delta) and (frame.choice, frame.channel) == (0, channel):
                held = text.ljust(frame.offset, "_")
                text = held[: frame.offset] + frame.text + held[frame.offset + len(frame.text) :]
        return text

    def ends(self, process: str = API) -> list[Ended]:
        """The ends that a process was told."""
        return [frame for frame in self.frames(process) if isinstance(frame, Ended)]

    def wholes(self, process: str = API) -> list[bytes]:
        """The unstreamed answers that a process was told."""
        return [frame.body for frame in self.frames(process) if isinstance(frame, Whole)]


Step = list[EngineEvent] | BaseException | asyncio.Event | float | WholeAnswer


class ScriptedEngine:
    """Plays its script to every call: events, an error, a wait of seconds or for a test."""

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.calls: list[EngineCall] = []
        self.embedded: list[EngineCall] = []
        self.ended = 0
        """Calls that are over, however they ended."""
        self.called = asyncio.Event()

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """The script's events."""
        try:
            async for step in self._played(call):
                if isinstance(step, list):
                    yield step
        finally:
            self.ended += 1

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The script's answer."""
        try:
            return [step async for step in self._played(call) if isinstance(step, WholeAnswer)][-1]
        finally:
            self.ended += 1

    async def embed(self, call: EngineCall) -> WholeAnswer:
        """The script's answer."""
        self.embedded.append(call)
        return await self.complete(call)

    async def _played(self, call: EngineCall) -> AsyncGenerator[Step, None]:
        self.calls.append(call)
        self.called.set()
        for step in self.script:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    async def close(self) -> None:
        """Nothing is held."""

    def for_model(self, model: Model) -> Engine:
        """Itself, for any model."""
        return self


@dataclass(frozen=True, slots=True)
class OneModel:
    """A catalogue of one model."""

    model: Model = MODEL
    version: int = 7

    def resolve(self, name: str) -> Model | None:
        """The model, by its name."""
        return self.model if name == self.model.name else None


class FlatRate:
    """Estimates every answer alike."""

    async def estimate(self, body: dict[str, object], text: str) -> Tokens:
        """The estimate."""
        return ESTIMATE


def a_sealer(folder: Any) -> Sealer:
    """A sealer with keys of its own."""
    return Sealer(LocalKeyring(folder))
