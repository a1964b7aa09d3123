"""The receiving end of one generation: whatever arrives, in whatever order and how often, becomes one answer.

Text is placed by attempt, choice, channel and offset. What is held already is compared instead of added, so that an
attempt which says something else than what was delivered is noticed. What an older attempt says is dropped.
A reader that comes back with a position hears what follows it: the text before it is held again, and compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock_api.domain.backlog import Backlog
from penstock_api.domain.channel import Channel, Misplaced, without
from penstock_api.domain.errors import (
    AnswerDiverged,
    AnswerTooLong,
    GenerationCancelled,
    GenerationFailed,
    PositionInvalid,
)
from penstock_api.domain.position import BEGINNING, Position, Told, place_of
from penstock_common.contracts.generation import Outcome
from penstock_common.contracts.stream import Delta, Ended, Frame, ToolCall, Whole, channel_key
from penstock_common.errors import PenstockError

MAX_CHARACTERS = 8_000_000
PIECE = 64 * 1024  # characters of one frame of what was delivered


@dataclass(frozen=True, slots=True)
class Role:
    """A choice begins."""

    choice: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """An attempt says something else than what was delivered: the answer begins anew, from its first character."""

    attempt: int


Piece = Delta | ToolCall | Role | Restarted


class Answer:
    """What arrived of one answer, what of it the consumer took, and how it ended."""

    def __init__(
        self,
        *,
        streamed: bool,
        after: Position | None = None,
        restarts: bool = False,
        limit: int = MAX_CHARACTERS,
    ) -> None:
        self.streamed, self.restarts, self.limit = streamed, restarts, limit
        """`restarts`: whether the consumer takes an answer that begins anew."""
        self.after = after or BEGINNING
        """What the consumer has from before."""
        self.attempt = self.after.attempt
        self.body = b""
        """An unstreamed answer: the engine's JSON."""
        self.broken: PenstockError | None = None
        """Why nothing more is taken from this answer."""
        self._told = Told(self.after)
        self._ended: Ended | None = None
        self._lacks = self._left_out = self._anew = False
        self._channels = {key: Channel(*place_of(key), mark) for key, mark in self.after.marks.items()}
        self._backlog = Backlog()
        self._characters = 0

    def feed(self, frames: Sequence[Frame]) -> None:
        """Take what one message brought. Never raises: what can't be reconciled is in `broken`."""
        if self.is_over:
            return
        try:
            self._hear(frames)
        except AnswerDiverged as error:
            self._diverged(error, frames)
        except PenstockError as error:
            self.broken = error

    @property
    def gapped(self) -> bool:
        """Whether something is known to be missing, and must be asked for again: the consumer left room for it."""
        return self._lacks and self._backlog.has_room

    @property
    def behind(self) -> bool:
        """Whether the consumer reads so slowly that text is left out until it made room."""
        return self._lacks and not self._backlog.has_room

    @property
    def most(self) -> int:
        """Characters to ask for: what there is room for, once there was too little of it; 0 for all."""
        return self._backlog.room if self._left_out else 0

    @property
    def end(self) -> Ended | None:
        """The last frame, once everything before it is here."""
        return None if self._lacks else self._ended

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.broken is not None or self.end is not None

    @property
    def failure(self) -> PenstockError | None:
        """Why the answer is over without having succeeded; None where it did, or goes on.

        A stream that was cancelled is no failure: it ends with what it has, and says so.
        """
        ended = self.end
        if self.broken or ended is None or ended.outcome == Outcome.SUCCEEDED:
            return self.broken
        if ended.failure:
            return GenerationFailed(ended.failure)
        return None if self.streamed and ended.outcome == Outcome.CANCELLED else GenerationCancelled()

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
        return self._anew or len(self._backlog) > 0

    def take(self) -> Piece | None:
        """The next piece, each once and in order; None where there is none yet."""
        told = self._told
        if self._anew:
            self._anew, self._told = False, Told()
            return Restarted(self.attempt)
        if (first := self._backlog.first) is None:
            return None
        channel, piece, _ = first
        if channel.choice not in told.choices:
            told.role(channel.choice)
            return Role(channel.choice)
        self._backlog.pop()
        if isinstance(piece, Delta):
            channel.take(piece)
        else:
            channel.announce(piece)
        told.text(channel.choice, channel.code, channel.taken, channel.crc)
        return piece

    def tell_role(self, choice: int) -> bool:
        """The consumer hears of a choice without text; False where it has."""
        if choice in self._told.choices:
            return False
        self._told.role(choice)
        return True

    def tell_end(self) -> None:
        """The consumer hears one more event of the end."""
        self._told.ends += 1

    @property
    def ends_told(self) -> int:
        """Events of the end that the consumer has."""
        return self._told.ends

    @property
    def has_begun(self) -> bool:
        """Whether the consumer has anything of the answer."""
        return not self._told.is_empty

    def position(self) -> bytes:
        """What the consumer has, in one word."""
        return self._told.word(self.attempt)

    def offsets(self) -> dict[str, int]:
        """Characters that the present attempt need not send again, by channel."""
        return {key: max(channel.placed, 0) for key, channel in self._channels.items()}

    def delivered_frames(self) -> list[Frame]:
        """What the consumer has and what waits for it, from the beginning, as frames of the present attempt.

        What waits counts: it may be taken before another attempt says its first word. Empty where the consumer has
        nothing, and where not all of that is held here (yet): then nobody can go on from it.
        """
        if any(channel.due for channel in self._channels.values()):
            return []
        return [frame for channel in self._channels.values() for frame in self._delivered(channel)]

    def _delivered(self, channel: Channel) -> Iterator[Frame]:
        if call := channel.call:
            yield ToolCall(self.attempt, call.choice, call.index, call.id, call.name)
        text = channel.text()
        for at in range(0, len(text), PIECE):
            yield Delta(self.attempt, channel.choice, channel.name, at, text[at : at + PIECE])

    def _hear(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if frame.attempt > self.attempt:
                self._begin(frame.attempt)
            if frame.attempt == self.attempt:
                self._place(frame)
            elif isinstance(frame, Ended) and frame.attempt < self.after.attempt:
                raise PositionInvalid
        self._lacks = self._lacks_something()

    def _diverged(self, error: PenstockError, frames: Sequence[Frame]) -> None:
        """Break off, or begin anew with the frames that say something else."""
        if not self.restarts:
            self.broken = error
            return
        self._anew = True
        self._channels.clear()
        self._backlog.clear()
        self._characters = 0
        try:
            self._hear(frames)
        except PenstockError as again:
            self.broken = again

    def _begin(self, attempt: int) -> None:
        """Another attempt takes over: keep what the consumer has, to hold the new one against it."""
        self.attempt, self.body, self._ended = attempt, b"", None
        self._backlog.clear()
        for key, channel in list(self._channels.items()):
            channel.restart()
            if not channel.delivered:
                del self._channels[key]
        self._characters = sum(channel.length for channel in self._channels.values())

    def _place(self, frame: Frame) -> None:
        if isinstance(frame, Delta):
            self._place_text(frame)
        elif isinstance(frame, ToolCall):
            self._place_call(frame)
        elif isinstance(frame, Whole):
            self.body = frame.body
        elif isinstance(frame, Ended):
            self._ended = frame
        elif not self._misses_text():
            self._left_out = False  # whoever has more to say than there was room for sends no beat

    def _place_call(self, call: ToolCall) -> None:
        channel = self._channel(call.choice, f"tool.{call.index}")
        if not channel.is_new or self._backlog.add_call(channel, call):
            channel.open(call)
        else:
            channel.leave(0)
            self._left_out = True

    def _place_text(self, delta: Delta) -> None:
        channel = self._channel(delta.choice, delta.channel)
        try:
            fresh = channel.fresh(delta)
        except Misplaced:
            return
        if fresh is not None and fresh.offset < channel.taken:
            fresh = self._hold(channel, fresh)
        if fresh is None:
            return
        kept = self._backlog.add_text(channel, fresh)
        if kept < len(fresh.text):
            channel.leave(fresh.offset + len(fresh.text))
            self._left_out = True
        self._count(kept)

    def _hold(self, channel: Channel, delta: Delta) -> Delta | None:
        """Hold what the consumer has of old; gives the rest. Raises AnswerDiverged."""
        had = channel.taken - delta.offset
        channel.append(delta.text[:had])
        self._count(min(had, len(delta.text)))
        return without(delta, had) if had < len(delta.text) else None

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > self.limit:
            raise AnswerTooLong

    def _channel(self, choice: int, name: str) -> Channel:
        key = channel_key(choice, name)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(choice, name)
        return channel

    def _lacks_something(self) -> bool:
        ended = self._ended
        if ended is None:
            return self._left_out or self._misses_text()
        succeeded = ended.outcome == Outcome.SUCCEEDED
        if succeeded and self._said_more_than(ended):
            raise AnswerDiverged
        if succeeded and not self.streamed and not self.body:
            return True
        return any(self._placed(key) < length for key, length in ended.lengths.items())

    def _misses_text(self) -> bool:
        return any(channel.placed < channel.known for channel in self._channels.values())

    def _said_more_than(self, ended: Ended) -> bool:
        return any(
            max(channel.length, channel.taken) > ended.lengths.get(key, -1) for key, channel in self._channels.items()
        )

    def _placed(self, key: str) -> int:
        channel = self._channels.get(key)
        if channel is None:
            return -1 if "/tool." in key else 0
        return channel.placed
