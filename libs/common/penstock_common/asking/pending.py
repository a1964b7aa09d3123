"""One question on its way: what of its answer arrived."""

import asyncio
from uuid import UUID

import msgspec

from penstock_common.asking.question import Answered, AskFailed
from penstock_common.asking.recovery import SILENCE_SECONDS
from penstock_common.contracts.generation import GenerateText, Outcome
from penstock_common.contracts.stream import Ended, Failure, Frame, Whole
from penstock_common.errors import Fault

CANCELLED = Failure("inference.cancelled", Fault.CONFLICT.value, "The model call was cancelled.")
GARBLED = Failure("inference.engine_garbled", Fault.UNAVAILABLE.value, "The model's engine gave no JSON object.")


class PendingQuestion:
    """Keeps the newest attempt's body and end, in whatever order and how often they arrive."""

    def __init__(self, command: GenerateText) -> None:
        loop = asyncio.get_running_loop()
        self.command: GenerateText = command
        self.check_at = loop.time() + SILENCE_SECONDS
        self.heard = self.unknown = self.attempt = 0
        self.recorded, self.most = False, 0
        self.recovering: asyncio.Task[None] | None = None
        self.answered: asyncio.Future[Answered] = loop.create_future()
        self._body = b""
        self._ended: Ended | None = None

    @property
    def request_id(self) -> UUID:
        """The request's id."""
        return self.command.request_id

    @property
    def gapped(self) -> bool:
        """Whether the end came without its answer."""
        return self._ended is not None and not self.answered.done()

    def offsets(self) -> dict[str, int]:
        """Nothing is held by parts."""
        return {}

    def feed(self, frames: list[Frame]) -> None:
        """Take what one message brought."""
        self.heard += 1
        self.check_at = asyncio.get_running_loop().time() + SILENCE_SECONDS
        for frame in frames:
            if frame.attempt > self.attempt:
                self.attempt, self._body, self._ended = frame.attempt, b"", None
            if frame.attempt == self.attempt:
                self._take(frame)
        if self._ended is not None and not self.answered.done():
            self._settle(self._ended)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Whole):
            self._body = frame.body
        elif isinstance(frame, Ended):
            self._ended = frame

    def _settle(self, ended: Ended) -> None:
        if ended.outcome != Outcome.SUCCEEDED:
            self.answered.set_exception(AskFailed(ended.failure or CANCELLED))
        elif self._body:
            self._conclude(ended)

    def _conclude(self, ended: Ended) -> None:
        try:
            body = msgspec.json.decode(self._body, type=dict)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.answered.set_exception(AskFailed(GARBLED))
        else:
            self.answered.set_result(Answered(body, ended.tokens))
