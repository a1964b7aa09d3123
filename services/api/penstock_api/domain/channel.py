"""The text of one channel of one choice, as far as it arrived."""

from zlib import crc32

from penstock_api.domain.errors import AnswerDiverged
from penstock_api.domain.position import Mark, code_of
from penstock_common.contracts.stream import Delta, ToolCall, logprobs_after

LOOSE_PARTS = 256  # small strings cost sixteen times their text


class Misplaced(Exception):
    """Something before this text has not arrived."""


class Channel:
    """Text that grows at its end only."""

    __slots__ = (
        "_first",
        "_loose",
        "_parts",
        "announced",
        "call",
        "choice",
        "code",
        "crc",
        "due",
        "known",
        "length",
        "name",
        "placed",
        "taken",
    )

    def __init__(self, choice: int, name: str, due: Mark | None = None) -> None:
        self.choice, self.name, self.code = choice, name, code_of(choice, name)
        self._first = -1 if name.startswith("tool.") else 0
        self._parts: list[str] = []
        self._loose = 0
        self.length = 0
        self.placed = self._first
        """Characters that the present attempt has said; -1 for a tool call that it has not opened yet."""
        self.known = self._first
        """Characters that the present attempt is known to have said, those among them that did not arrive."""
        self.due = due
        """What the consumer has of old, until the text that was said again is found to be the same."""
        self.taken = due.offset if due else 0
        """Characters that the consumer has."""
        self.crc = due.crc if due else 0
        """crc32 of those."""
        self.call: ToolCall | None = None
        self.announced: ToolCall | None = None
        """The tool call as the consumer took it."""

    @property
    def delivered(self) -> bool:
        """Whether the consumer took anything of it."""
        return self.taken > 0 or self.due is not None or self.announced is not None

    @property
    def is_new(self) -> bool:
        """Whether nobody has heard of this tool call yet."""
        return self.call is None and self.due is None

    def open(self, call: ToolCall) -> None:
        """Take the opening of a tool call. Raises AnswerDiverged."""
        known = self.call
        if known is not None and (known.id, known.name) != (call.id, call.name):
            raise AnswerDiverged
        self.call, self.placed, self.known = call, max(self.placed, 0), max(self.known, 0)
        if self.due and self.due.offset <= self.length:
            self._verify(self.due)

    def announce(self, call: ToolCall) -> None:
        """The consumer took the tool call."""
        self.announced, self.crc = call, _seed(call)

    def fresh(self, delta: Delta) -> Delta | None:
        """The part of a delta that is not held yet; the rest is compared. Raises Misplaced, AnswerDiverged."""
        if delta.offset == self.length == self.placed and delta.text:
            return delta
        end = delta.offset + len(delta.text)
        if delta.offset > self.placed:
            self.known = max(self.known, end)
            raise Misplaced
        held = min(self.length, end) - delta.offset
        if held and self._between(delta.offset, delta.offset + held) != delta.text[:held]:
            raise AnswerDiverged
        self.placed = max(self.placed, delta.offset + held)
        self.known = max(self.known, self.placed)
        if end <= self.length:
            return None
        return delta if not held else without(delta, held)

    def append(self, text: str) -> None:
        """Hold more text. Raises AnswerDiverged where it is not what the consumer has of old."""
        self._parts.append(text)
        self._loose += 1
        if self._loose == LOOSE_PARTS:
            self._parts[-LOOSE_PARTS:] = ["".join(self._parts[-LOOSE_PARTS:])]
            self._loose = 0
        self._grow(len(text))
        if self.due is not None and self.due.offset <= self.length:
            self._verify(self.due)

    def lengthen(self, last: str, text: str) -> str:
        """Hold more text in one string with the last that was appended; gives that string."""
        longer = last + text
        if self._parts[-1] is last:
            self._parts[-1] = longer
        else:
            self._parts.append(text)
        self._grow(len(text))
        return longer

    def leave(self, end: int) -> None:
        """Text up to this offset came, and there was no room for it."""
        self.known = max(self.known, end)

    def take(self, delta: Delta) -> None:
        """The consumer took this text."""
        self.taken += len(delta.text)
        self.crc = crc32(delta.text.encode(), self.crc)

    def text(self) -> str:
        """What is held here: what the consumer has, and what waits for it."""
        return self._between(0, self.length)

    def restart(self) -> None:
        """Another attempt begins: keep only what the consumer has."""
        held = "" if self.due else self._between(0, self.taken)
        self._parts, self._loose, self.length = [held], 0, len(held)
        self.placed = self.known = self._first
        self.call = self.announced

    def _grow(self, length: int) -> None:
        self.placed = self.length = self.length + length
        self.known = max(self.known, self.length)

    def _verify(self, due: Mark) -> None:
        call = self.call
        if crc32(self._between(0, due.offset).encode(), _seed(call) if call else 0) != due.crc:
            raise AnswerDiverged
        self.due, self.announced = None, call

    def _between(self, start: int, end: int) -> str:
        if len(self._parts) != 1:
            self._parts, self._loose = ["".join(self._parts)], 0
        return self._parts[0][start:end]


def without(delta: Delta, held: int) -> Delta:
    """A delta without its first characters, and without the logprobs of their tokens."""
    logprobs = logprobs_after(delta.logprobs, held)
    return Delta(delta.attempt, delta.choice, delta.channel, delta.offset + held, delta.text[held:], logprobs)


def _seed(call: ToolCall) -> int:
    return crc32(f"{call.id}\0{call.name}".encode())
