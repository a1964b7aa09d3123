"""What of an answer waits for its reader. A reader who falls behind costs a bounded number of bytes."""

from collections import deque
from sys import getsizeof

from penstock_api.domain.channel import Channel
from penstock_common.contracts.stream import Delta, ToolCall

LIMIT = 96 * 1024  # bytes; the rest of what a reader may cost are rendered events, and text held once more, joined
HALF = LIMIT // 2
OVERHEAD = 256  # bytes of a piece beside its text
SEPARATE = 64  # pieces that wait as they came; of more, small ones are joined
JOINED_CHARACTERS = 1024
LARGEST = 8 * 1024  # characters of one piece; an event is rendered from it


class Backlog:
    """Pieces in the order in which they came."""

    __slots__ = ("_waiting", "cost")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Channel, Delta | ToolCall, int]] = deque()
        self.cost = 0
        """Bytes."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> tuple[Channel, Delta | ToolCall, int] | None:
        """What is next, its channel before it, what it costs after it; None where nothing waits."""
        return self._waiting[0] if self._waiting else None

    @property
    def has_room(self) -> bool:
        """Whether it is time to ask for more."""
        return self.cost <= HALF

    @property
    def room(self) -> int:
        """Characters that fit, each of one byte."""
        return max(LIMIT - self.cost - OVERHEAD, 1)

    def pop(self) -> None:
        """The first is read."""
        self.cost -= self._waiting.popleft()[2]

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self.cost = 0

    def add_call(self, channel: Channel, call: ToolCall) -> bool:
        """Have a tool call wait, unless there is no room for it."""
        cost = OVERHEAD + getsizeof(call.id) + getsizeof(call.name)
        if self.cost + cost > LIMIT and not self.has_room:
            return False
        self._add(channel, call, cost)
        return True

    def add_text(self, channel: Channel, delta: Delta) -> int:
        """Have as much of a text wait as there is room for, and its channel hold it; gives the characters kept.

        Raises AnswerDiverged as the channel does.
        """
        if len(delta.text) > LARGEST and not delta.logprobs:
            return self._add_pieces(channel, delta)
        size = OVERHEAD + getsizeof(delta.text) + len(delta.logprobs)
        if self.cost + size > LIMIT and not (delta.logprobs and self.has_room):
            return self._add_part(channel, delta)
        if len(self._waiting) < SEPARATE or not self._joined(channel, delta):
            channel.append(delta.text)
            self._add(channel, delta, size)
        return len(delta.text)

    def _add_pieces(self, channel: Channel, delta: Delta) -> int:
        kept = 0
        for at in range(0, len(delta.text), LARGEST):
            text = delta.text[at : at + LARGEST]
            added = self.add_text(channel, Delta(delta.attempt, delta.choice, delta.channel, delta.offset + at, text))
            kept += added
            if added < len(text):
                break
        return kept

    def _add_part(self, channel: Channel, delta: Delta) -> int:
        """As much as there is room for; nothing of what has logprobs."""
        room = LIMIT - self.cost - OVERHEAD
        text = "" if delta.logprobs or room <= 0 else delta.text[: room * len(delta.text) // getsizeof(delta.text)]
        if text:
            channel.append(text)
            part = Delta(delta.attempt, delta.choice, delta.channel, delta.offset, text)
            self._add(channel, part, OVERHEAD + getsizeof(text))
        return len(text)

    def _add(self, channel: Channel, piece: Delta | ToolCall, cost: int) -> None:
        self._waiting.append((channel, piece, cost))
        self.cost += cost

    def _joined(self, channel: Channel, delta: Delta) -> bool:
        """Whether a small text could join the last one."""
        place, last, cost = self._waiting[-1]
        if place is not channel or not isinstance(last, Delta) or last.logprobs or delta.logprobs:
            return False
        if len(last.text) + len(delta.text) > JOINED_CHARACTERS:
            return False
        text = channel.lengthen(last.text, delta.text)
        self._waiting.pop()
        self.cost -= cost
        joined = Delta(last.attempt, last.choice, last.channel, last.offset, text)
        self._add(channel, joined, OVERHEAD + getsizeof(text))
        return True
