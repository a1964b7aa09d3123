"""The receiving end of one generation: whatever arrives, in whatever order and how often, becomes one answer.

Text is placed by attempt, choice, channel and offset. What is held already is compared instead of added, so that an
attempt which says something else than what was delivered is noticed. What an older attempt says is dropped.
"""

from collections import deque
from collections.abc import Sequence

from penstock_api.domain.channel import Channel, Misplaced
from penstock_api.domain.errors import AnswerDiverged, AnswerTooLong, GenerationCancelled, GenerationFailed
from penstock_common.contracts.generation import Outcome
from penstock_common.contracts.stream import Delta, Ended, Frame, ToolCall, Whole, channel_key
from penstock_common.errors import PenstockError

MAX_CHARACTERS = 8_000_000

Piece = Delta | ToolCall


class Answer:
    """What arrived of one answer, what of it the consumer took, and how it ended."""

    def __init__(self, *, streamed: bool, limit: int = MAX_CHARACTERS) -> None:
        self.streamed, self.limit = streamed, limit
        self.attempt = 0
        self.body = b""
        """An unstreamed answer: the engine's JSON."""
        self.gapped = False
        """Whether something is known to have been lost on its way, and must be asked for again."""
        self.broken: PenstockError | None = None
        """Why nothing more is taken from this answer."""
        self._ended: Ended | None = None
        self._channels: dict[str, Channel] = {}
        self._news: deque[Piece] = deque()
        self._characters = 0

    def feed(self, frames: Sequence[Frame]) -> None:
        """Take what one message brought. Never raises: what can't be reconciled is in `broken`."""
        if self.broken or self.end:
            return
        try:
            for frame in frames:
                if frame.attempt > self.attempt:
                    self._begin(frame.attempt)
                if frame.attempt == self.attempt:
                    self._place(frame)
            self.gapped = self._lacks_something()
        except PenstockError as error:
            self.broken = error

    @property
    def end(self) -> Ended | None:
        """The last frame, once everything before it is here."""
        return None if self.gapped else self._ended

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.broken is not None or self.end is not None

    @property
    def failure(self) -> PenstockError | None:
        """Why the answer is over without having succeeded; None where it did, or goes on."""
        ended = self.end
        if self.broken or ended is None or ended.outcome == Outcome.SUCCEEDED:
            return self.broken
        return GenerationFailed(ended.failure) if ended.failure else GenerationCancelled()

    def success(self) -> Ended:
        """The end of an answer that is over. Raises whatever kept it from succeeding."""
        if failure := self.failure:
            raise failure
        ended = self.end
        assert ended is not None
        return ended

    @property
    def has_news(self) -> bool:
        """Whether `take` gives something."""
        return bool(self._news)

    def take(self) -> Piece | None:
        """The next piece, each once and in order; None where there is none yet."""
        if not self._news:
            return None
        piece = self._news.popleft()
        if isinstance(piece, Delta):
            self._channels[channel_key(piece.choice, piece.channel)].taken += len(piece.text)
        else:
            self._channels[channel_key(piece.choice, f"tool.{piece.index}")].announced = piece
        return piece

    def offsets(self) -> dict[str, int]:
        """Characters that the present attempt need not send again, by channel."""
        return {key: max(channel.placed, 0) for key, channel in self._channels.items()}

    def position(self) -> bytes:
        """What the consumer took, in one word: `<attempt>:<choice><channel>=<offset>,…`."""
        taken = ",".join([channel.mark for channel in self._channels.values() if channel.taken])
        return f"{self.attempt}:{taken}".encode()

    def _begin(self, attempt: int) -> None:
        """Another attempt takes over: keep what the consumer took, to hold the new one against it."""
        self.attempt, self.body, self._ended, self.gapped = attempt, b"", None, False
        self._news.clear()
        for key, channel in list(self._channels.items()):
            channel.restart()
            if not channel.delivered:
                del self._channels[key]
        self._characters = sum(channel.length for channel in self._channels.values())

    def _place(self, frame: Frame) -> None:
        if isinstance(frame, Delta):
            self._place_text(frame)
        elif isinstance(frame, ToolCall):
            if self._channel(frame.choice, f"tool.{frame.index}").open(frame):
                self._news.append(frame)
        elif isinstance(frame, Whole):
            self.body = frame.body
        elif isinstance(frame, Ended):
            self._ended = frame

    def _place_text(self, delta: Delta) -> None:
        channel = self._channel(delta.choice, delta.channel)
        try:
            fresh = channel.place(delta)
        except Misplaced:
            channel.lost = True
            return
        if fresh is None:
            return
        self._characters += len(fresh.text)
        if self._characters > self.limit:
            raise AnswerTooLong
        self._news.append(fresh)

    def _channel(self, choice: int, name: str) -> Channel:
        key = channel_key(choice, name)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(choice, name)
        return channel

    def _lacks_something(self) -> bool:
        ended = self._ended
        if ended is None:
            return any(channel.lost for channel in self._channels.values())
        succeeded = ended.outcome == Outcome.SUCCEEDED
        if succeeded and self._said_more_than(ended):
            raise AnswerDiverged
        if succeeded and not self.streamed and not self.body:
            return True
        return any(self._placed(key) < length for key, length in ended.lengths.items())

    def _said_more_than(self, ended: Ended) -> bool:
        return any(channel.length > ended.lengths.get(key, -1) for key, channel in self._channels.items())

    def _placed(self, key: str) -> int:
        channel = self._channels.get(key)
        if channel is None:
            return -1 if "/tool." in key else 0
        return channel.placed
