"""One attempt at one request: feeds on the engine, speaks to whoever listens, ends once."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import About, GenerateText, GenerationFound
from penstock_common.contracts.stream import Beat, Frame
from penstock_common.errors import DatabaseUnavailable
from penstock_inference.domain.output import Output, Progress
from penstock_inference.generating.lease import Lease
from penstock_inference.generating.listening import Listener, Listening
from penstock_inference.generating.ports import Listeners, Records
from penstock_inference.generating.timers import Timers
from penstock_inference.generating.verification import Verification
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart, Used, WholeAnswer

BEAT_SECONDS = 2.0
HELD_SECONDS = 30.0  # how long a suspect run waits for the database to say whether it may go on


class Superseded(Exception):
    """Another attempt took over: nothing more may be said."""


class Run:
    """The output of an attempt, and how much of it each listener was sent."""

    __slots__ = (
        "_epoch",
        "_is_due",
        "attempt",
        "command",
        "decisions",
        "first_token_at",
        "has_expired",
        "listeners",
        "output",
        "ports",
        "process",
        "started_at",
        "stop_reason",
        "superseded",
        "task",
        "used",
        "verification",
    )

    def __init__(self, command: GenerateText, attempt: int, *, process: str, ports: "RunPorts") -> None:
        self.command, self.attempt, self.process, self.ports = command, attempt, process, ports
        self.output = Output()
        self.used: Used | None = None
        self.started_at: datetime = ports.clock.now()
        self.first_token_at: datetime | None = None
        self.listeners = Listening(command.reply_to, ports.clock.boottime())
        self.task: asyncio.Task[Any] | None = None
        self.stop_reason = ""
        self.superseded = self.has_expired = False
        self.decisions: list[Decision] = []
        self.verification: Verification | None = None
        self._epoch = ports.lease.epoch()
        self._is_due = False
        """Whether what was gathered leaves at the next tick."""

    @property
    def request_id(self) -> UUID:
        """The request's id."""
        return self.command.request_id

    def found(self) -> GenerationFound:
        """What is told of a generation that runs."""
        return GenerationFound(
            request_id=self.request_id,
            process=self.process,
            attempt=self.attempt,
            about=About.of(self.command),
            started_at=self.started_at,
            first_token_at=self.first_token_at,
            decisions=[*self.command.decisions, *self.decisions],
        )

    def must_be_verified(self) -> None:
        """Raise AnswerDiverged where the engine is done and the client has more than it said."""
        if self.verification:
            self.verification.must_be_done()

    def begin_with(self, held: Output, prefix: str) -> None:
        """Go on with what the client has; the engine is expected to say again what comes after `prefix`."""
        self.output, self.verification = held, None
        if not held.is_empty:
            self.verification = Verification(held)
            self.verification.must_follow(prefix)

    def take(self, events: Sequence[EngineEvent]) -> None:
        """Add what the engine said; the first text leaves at once, later text is gathered for a moment.

        Raises AnswerDiverged where it is not what the client has.
        """
        for event in self.verification.news(events) if self.verification else events:
            if isinstance(event, TextDelta):
                self.output.add_text(event.choice, event.channel, event.text, event.logprobs)
            elif isinstance(event, ToolCallStart):
                self.output.add_call(event.choice, event.index, event.id, event.name)
            elif isinstance(event, Finished):
                self.output.finish[event.choice] = event.reason
            else:
                self.used = event
        if self.first_token_at is None:
            if not self.output.is_empty:
                self.first_token_at = self.ports.clock.now()
                self.flush()
        elif not self._is_due:
            self._is_due = True
            self.ports.timers.pulse.write(self._leave)

    def take_whole(self, answer: WholeAnswer) -> None:
        """Add an unstreamed answer; it leaves with the end."""
        self.output.body, self.output.whole_text = answer.body, answer.text
        self.output.finish = dict(answer.finish)
        self.used = Used(answer.tokens) if answer.tokens else None

    def flush(self) -> None:
        """Send each listener what it lacks and may be sent, unless this run is suspect."""
        self._is_due = False
        if not self.suspect:
            for process, listener in self.listeners:
                self._serve(process, listener)

    def _leave(self) -> None:
        if self._is_due:
            self.flush()

    def _serve(self, process: str, listener: Listener, *more: Frame) -> None:
        """Send a listener what is due, and `more` if it has everything then."""
        frames, everything = listener.due(self.output, self.attempt)
        if everything:
            frames = [*frames, *more]
        if frames and self.ports.listeners.send(process, self.request_id, frames):
            listener.was_sent(self.output, everything=everything)

    def attach(self, process: str, offsets: dict[str, int], most: int = 0) -> None:
        """Send a process what it lacks, and all that follows.

        With `most`, so many characters at most: if that is not all, nothing follows until it asks again. A beat after
        the text tells that it is all.
        """
        listener = Listener(Progress(dict(offsets)), most, self.ports.clock.boottime())
        self.listeners.add(process, listener)
        if not self.suspect:
            self._serve(process, listener, Beat(self.attempt))

    def beat(self) -> None:
        """Show the listeners that this run lives, where they heard nothing for a while.

        Not one that was sent a part: a beat tells a process that it has everything.
        """
        self.flush()
        if self.suspect:
            return
        for process, listener in self.listeners:
            quiet = not listener.paused and listener.silent_seconds() >= self.ports.beat_seconds
            if quiet and self.ports.listeners.send(process, self.request_id, [Beat(self.attempt)]):
                listener.heard()

    def stop(self, reason: str) -> None:
        """End the engine call now; the run ends as cancelled."""
        self.stop_reason = reason
        if self.task:
            self.task.cancel()

    def expire(self) -> None:
        """End the engine call now: the request's deadline passed."""
        self.has_expired = True
        if self.task:
            self.task.cancel()

    def supersede(self) -> None:
        """Fall silent and end: another attempt took over."""
        self.superseded = True
        if self.task:
            self.task.cancel()

    @property
    def suspect(self) -> bool:
        """Whether the lease may have been lost since this run was last assured."""
        return self._epoch != self.ports.lease.epoch()

    async def assure(self) -> None:
        """Return once this run may speak. Raises Superseded where another attempt took over."""
        epoch = self.ports.lease.epoch()
        if epoch == self._epoch:
            return
        async with asyncio.timeout(self.ports.held_seconds):
            while not await self._confirmed():  # noqa: ASYNC110 (the database sends no event when it is back)
                await asyncio.sleep(0.2)
        self._epoch = epoch
        self.flush()

    async def _confirmed(self) -> bool:
        with contextlib.suppress(DatabaseUnavailable):
            if not await self.ports.records.confirm(self.command, self.attempt, self.process):
                raise Superseded
            return True
        return False

    def say_end(self, frames: list[Frame]) -> None:
        """Send each listener what it lacks and the last frame; who was not sent everything asks again."""
        for process, listener in self.listeners:
            self._serve(process, listener, frames[-1])

    def close(self) -> None:
        """Send nothing more by itself."""
        self._is_due = False


@dataclass(frozen=True, slots=True)
class RunPorts:
    """What every run of a process shares."""

    listeners: Listeners
    records: Records
    lease: Lease
    clock: Clock
    beat_seconds: float = BEAT_SECONDS
    held_seconds: float = HELD_SECONDS
    timers: Timers = field(default_factory=Timers)
