"""One accepted request, as long as this process holds a client of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import AnswerLost, ClientLeft
from penstock_common.asking.recovery import SILENCE_SECONDS
from penstock_common.contracts.generation import About, GenerateText
from penstock_common.contracts.stream import Frame
from penstock_common.ids import text_of

PATIENCE_SECONDS = 5.0  # beyond the deadline: the end of an expired request is on its way
GRACE_SECONDS = 5.0  # and for what is known to be missing, as much again


@dataclass(frozen=True, slots=True)
class Request:
    """What a process knows of a request that it holds open."""

    request_id: UUID
    about: About
    command: GenerateText | None = None
    """The command as this process made it; None for one that another process accepted."""
    repeated: bool = False
    """Whether it was asked before, under its idempotency key."""


class OpenGeneration:
    """The answer so far, who waits for it, and when it is to be asked for again. Times are the loop's."""

    def __init__(
        self, request: Request, answer: Answer, seconds: float, ask: Callable[["OpenGeneration"], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.request, self.answer, self._ask = request, answer, ask
        self.key = text_of(request.request_id)
        """The request's id, as messages name it."""
        now = self._loop.time()
        self.until = now + seconds + PATIENCE_SECONDS
        """When an end is overdue."""
        self.check_at = now + SILENCE_SECONDS
        """When silence becomes suspicious."""
        self.heard = 0
        """Messages received."""
        self.unknown = 0
        """Times that inference knew nothing of this request."""
        self.recorded = False
        """Whether the row is known to hold the end."""
        self.recovering: asyncio.Task[None] | None = None
        self._left = self._fresh = False
        self._late = 0
        self._waiting: asyncio.Future[None] | None = None

    def feed(self, frames: list[Frame]) -> None:
        """Take what one message brought."""
        self.heard += 1
        self.check_at = self._loop.time() + SILENCE_SECONDS
        self.answer.feed(frames)
        self._notify()

    @property
    def request_id(self) -> UUID:
        """The id under which it was accepted first."""
        return self.request.request_id

    @property
    def about(self) -> About:
        """What its client asked for."""
        return self.request.about

    @property
    def command(self) -> GenerateText | None:
        """What is published again if nobody knows of it."""
        return self.request.command

    @property
    def accepted_at(self) -> datetime:
        """When it was accepted first."""
        return self.request.about.accepted_at

    @property
    def repeated(self) -> bool:
        """Whether it was asked before, under its idempotency key."""
        return self.request.repeated

    @property
    def gapped(self) -> bool:
        """Whether something is known to be missing; of another process's request, all is."""
        return self.answer.gapped or (not self.heard and self.command is None)

    @property
    def most(self) -> int:
        """Characters that there is room for; 0 for all."""
        return self.answer.most

    def offsets(self) -> dict[str, int]:
        """Characters that need not be sent again, by channel."""
        return self.answer.offsets()

    def leave(self) -> None:
        """The client went away."""
        self._left = True
        self._notify()

    def close(self) -> None:
        """Nobody waits any more."""
        if self.recovering:
            self.recovering.cancel()

    async def changed(self) -> None:
        """Return when something arrived since the last call. Raises ClientLeft, AnswerLost after the deadline."""
        if not self._fresh:
            if self.gapped:
                self._ask(self)
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._fresh = False
        if self._left:
            raise ClientLeft
        if self._late > self.gapped and not (self.answer.is_over or (self.recorded and self.heard)):
            raise AnswerLost

    def expire(self, now: float) -> None:
        """Wait no longer than is due. To be called now and then."""
        if now >= self.until:
            self._late += 1
            self.until = now + GRACE_SECONDS
            self._notify()

    def _notify(self) -> None:
        self._fresh = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
