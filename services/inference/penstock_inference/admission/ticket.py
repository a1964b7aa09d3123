"""A request that waits for a slot: it can be found, read, stopped and left like one that runs."""

import asyncio
from typing import Protocol
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import About, GenerateText, GenerationFound
from penstock_common.contracts.stream import Beat
from penstock_inference.domain.fair_queue import Place
from penstock_inference.domain.output import Progress
from penstock_inference.generating.generator import Generator
from penstock_inference.generating.listening import Listener, Listening

BEAT_SECONDS = 2.0
NO_ATTEMPT = 0  # of a beat that says no more than that the request is there


class Lane(Protocol):
    """Where it waits."""

    name: str
    generator: Generator

    def dismiss(self, ticket: "Ticket") -> None:
        """Have it go on without a slot: it ends without an engine's call."""

    def standing(self, ticket: "Ticket") -> tuple[int, float | None] | None:
        """Its position from 1 and the seconds until its turn; None where it waits no more."""


class Ticket:
    """One waiting request. Times are seconds by `Clock.boottime`."""

    __slots__ = ("called", "command", "epoch", "is_begun", "lane", "listeners", "place", "seated", "since")

    def __init__(self, command: GenerateText, lane: Lane, *, is_begun: bool) -> None:
        needs = lane.generator
        self.command, self.lane, self.is_begun = command, lane, is_begun
        """`is_begun`: whether another process may have begun it, or said its end."""
        self.since, self.epoch = needs.clock.boottime(), needs.shared.lease.epoch()
        self.listeners = Listening(command.reply_to, self.since)
        self.called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seated = False
        """Whether it has a slot."""
        self.place: Place | None = None

    @property
    def request_id(self) -> UUID:
        """The request's id."""
        return self.command.request_id

    @property
    def attempt(self) -> int:
        """None has begun here."""
        return NO_ATTEMPT

    @property
    def waited(self) -> float:
        """Seconds since it arrived."""
        return self.lane.generator.clock.boottime() - self.since

    def seat(self) -> None:
        """It has a slot now."""
        self.seated = True
        self.call()

    def call(self) -> None:
        """It goes on, unless its task was cancelled meanwhile."""
        if not self.called.done():
            self.called.set_result(None)

    def hand_back(self, reason: Exception) -> None:
        """It ends here, and is delivered again."""
        if not self.called.done():
            self.called.set_exception(reason)

    def sent(self) -> GenerateText:
        """The command as if it had been sent now, with the time for which it waited."""
        admitted = Decision("admit", self.lane.name, f"waited {self.waited * 1000:.0f} ms")
        now = self.lane.generator.clock.now()
        return msgspec.structs.replace(self.command, sent_at=now, decisions=[*self.command.decisions, admitted])

    def stop(self, reason: str) -> None:
        """End it without an engine's call; whoever hears of a stop has remembered its reason."""
        self.lane.generator.registry.remember_stop(self.request_id, reason)
        self.lane.dismiss(self)

    def attach(self, process: str, offsets: dict[str, int], most: int = 0) -> None:
        """One more process listens; it is told at once that the request is there."""
        listener = Listener(Progress(dict(offsets)), most, self.lane.generator.clock.boottime())
        self.listeners.add(process, listener)
        self._tell(process, listener)

    def beat(self) -> None:
        """Show that it is there to those who heard nothing for a while: they would publish it again."""
        for process, listener in self.listeners:
            if process and listener.silent_seconds() >= BEAT_SECONDS:
                self._tell(process, listener)

    def found(self) -> GenerationFound:
        """What is told of a request that waits."""
        position, seconds = self.lane.standing(self) or (None, None)
        return GenerationFound(
            request_id=self.request_id,
            process=self.lane.generator.process,
            attempt=NO_ATTEMPT,
            about=About.of(self.command),
            decisions=self.command.decisions,
            position=position,
            expected_wait_seconds=seconds,
        )

    def _tell(self, process: str, listener: Listener) -> None:
        if self.lane.generator.listeners.send(process, self.request_id, [Beat(NO_ATTEMPT)]):
            listener.heard()
