"""One accepted request, as long as this process holds its client."""

import asyncio
from datetime import datetime
from uuid import UUID

from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import ClientLeft
from penstock_common.asking.recovery import SILENCE_SECONDS
from penstock_common.contracts.generation import GenerateText
from penstock_common.contracts.stream import Frame

PATIENCE_SECONDS = 5.0  # beyond the deadline: the end of an expired request is on its way


class OpenGeneration:
    """The answer so far, who waits for it, and when it is to be asked for again. Times are the loop's."""

    def __init__(self, command: GenerateText, seconds: float, *, repeated: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self.command, self.repeated = command, repeated
        self.answer = Answer(streamed=command.streamed)
        self.accepted_at: datetime = command.accepted_at
        self.until = self._loop.time() + seconds + PATIENCE_SECONDS
        self.check_at = self._loop.time() + SILENCE_SECONDS
        """When silence becomes suspicious."""
        self.heard = 0
        """Messages received."""
        self.unknown = 0
        """Times that inference knew nothing of this request."""
        self.recovering: asyncio.Task[None] | None = None
        self._left = self._fresh = False
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
        return self.command.request_id

    @property
    def gapped(self) -> bool:
        """Whether something is known to have been lost on its way."""
        return self.answer.gapped

    def offsets(self) -> dict[str, int]:
        """Characters that need not be sent again, by channel."""
        return self.answer.offsets()

    def leave(self) -> None:
        """The client went away."""
        self._left = True
        self._notify()

    def seconds_left(self) -> float:
        """How long it is still worth waiting for the answer."""
        return max(0.0, self.until - self._loop.time())

    async def changed(self) -> None:
        """Return when something arrived since the last call. Raises ClientLeft."""
        if not self._fresh:
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._fresh = False
        if self._left:
            raise ClientLeft

    def _notify(self) -> None:
        self._fresh = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
