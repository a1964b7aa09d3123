"""One attempt at one request: feeds on the engine, speaks to whoever listens, ends once."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_common.clock import Clock
from penstock_common.contracts.generation import GenerateText
from penstock_common.contracts.stream import Beat, Frame
from penstock_common.errors import DatabaseUnavailable
from penstock_inference.domain.output import Output, Progress
from penstock_inference.generating.lease import Lease
from penstock_inference.generating.ports import Listeners, Records
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart, Used, WholeAnswer

COALESCE_SECONDS = 0.04  # at least twice the token gap of a fast engine: cost is per message, not per token
BEAT_SECONDS = 2.0
HELD_SECONDS = 30.0  # how long a suspect run waits for the database to say whether it may go on


class Superseded(Exception):
    """Another attempt took over: nothing more may be said."""


class Run:
    """The output of an attempt, and how much of it each listener was sent."""

    def __init__(self, command: GenerateText, attempt: int, *, process: str, ports: "RunPorts") -> None:
        self.command, self.attempt, self.process, self.ports = command, attempt, process, ports
        self.output = Output()
        self.used: Used | None = None
        self.started_at: datetime = ports.clock.now()
        self.first_token_at: datetime | None = None
        self.listeners: dict[str, Progress] = {command.reply_to: Progress()}
        self.task: asyncio.Task[Any] | None = None
        self.stop_reason = ""
        self.superseded = False
        self._epoch = ports.lease.epoch()
        self._timer: asyncio.TimerHandle | None = None
        self._spoke = asyncio.get_running_loop().time()

    def take(self, events: Sequence[EngineEvent]) -> None:
        """Add what the engine said; the first text leaves at once, later text is gathered for a moment."""
        for event in events:
            if isinstance(event, TextDelta):
                self.output.add_text(event.choice, event.channel, event.text, event.logprobs)
            elif isinstance(event, ToolCallStart):
                self.output.add_call(event.choice, event.index, event.id, event.name)
            elif isinstance(event, Finished):
                self.output.finish[event.choice] = event.reason
            else:
                self.used = event
        if self.output.is_empty:
            return
        if self.first_token_at is None:
            self.first_token_at = self.ports.clock.now()
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COALESCE_SECONDS, self.flush)

    def take_whole(self, answer: WholeAnswer) -> None:
        """Add an unstreamed answer; it leaves with the end."""
        self.output.body, self.output.whole_text = answer.body, answer.text
        self.output.finish = dict(answer.finish)
        self.used = Used(answer.tokens) if answer.tokens else None

    def flush(self) -> None:
        """Send each listener what it lacks, unless this run is suspect."""
        self.close()
        if self.suspect:
            return
        for process, progress in list(self.listeners.items()):
            frames = self.output.since(progress, self.attempt)
            if frames and self.ports.listeners.send(process, self.command.request_id, frames):
                self.listeners[process] = self.output.progress()
        self._spoke = asyncio.get_running_loop().time()

    def attach(self, process: str, offsets: dict[str, int]) -> None:
        """Send a process what it lacks, and all that follows."""
        self.listeners[process] = Progress(dict(offsets))
        self.flush()

    def beat(self) -> None:
        """Show the listeners that this run lives, where it was silent for a while."""
        quiet = asyncio.get_running_loop().time() - self._spoke
        if quiet < self.ports.beat_seconds or self.suspect:
            return
        self.flush()
        for process in self.listeners:
            self.ports.listeners.send(process, self.command.request_id, [Beat(self.attempt)])

    def stop(self, reason: str) -> None:
        """End the engine call now; the run ends as cancelled."""
        self.stop_reason = reason
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
        """Send each listener what it lacks and the last frame."""
        for process, progress in self.listeners.items():
            missing = self.output.since(progress, self.attempt)
            self.ports.listeners.send(process, self.command.request_id, [*missing, frames[-1]])

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass(frozen=True, slots=True)
class RunPorts:
    """What every run of a process shares."""

    listeners: Listeners
    records: Records
    lease: Lease
    clock: Clock
    beat_seconds: float = BEAT_SECONDS
    held_seconds: float = HELD_SECONDS
