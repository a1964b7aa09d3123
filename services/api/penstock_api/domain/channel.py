"""The text of one channel of one choice, as far as it arrived."""

import msgspec

from penstock_api.domain.errors import AnswerDiverged
from penstock_common.contracts.stream import Delta, ToolCall

_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode

CODES = {"content": "c", "reasoning": "r", "refusal": "f"}
"""How channels are named in a position; the arguments of tool call i are `t<i>`."""


class LogprobToken(msgspec.Struct):
    """The part of a logprobs entry that says which text it is about."""

    token: str


_token = msgspec.json.Decoder(LogprobToken).decode


class Misplaced(Exception):
    """Something before this text has not arrived."""


class Channel:
    """Text that grows at its end only."""

    __slots__ = ("_parts", "announced", "call", "code", "length", "lost", "placed", "taken")

    def __init__(self, choice: int, name: str) -> None:
        self.code = f"{choice}{CODES.get(name) or name.replace('tool.', 't')}"
        self._parts: list[str] = []
        self.length = 0
        self.placed = -1 if name.startswith("tool.") else 0
        """Characters that the present attempt has said; -1 for a tool call that it has not opened yet."""
        self.taken = 0
        self.lost = False
        self.call: ToolCall | None = None
        self.announced: ToolCall | None = None
        """The tool call as the consumer took it."""

    @property
    def mark(self) -> str:
        """How much the consumer took."""
        return f"{self.code}={self.taken}"

    @property
    def delivered(self) -> bool:
        """Whether the consumer took anything of it."""
        return self.taken > 0 or self.announced is not None

    def open(self, call: ToolCall) -> bool:
        """Take the opening of a tool call; True if it is new. Raises AnswerDiverged."""
        known = self.call
        if known is not None and (known.id, known.name) != (call.id, call.name):
            raise AnswerDiverged
        self.call, self.placed = call, max(self.placed, 0)
        return known is None

    def place(self, delta: Delta) -> Delta | None:
        """The part of a delta that was not held yet. Raises Misplaced, AnswerDiverged."""
        if delta.offset > self.placed:
            raise Misplaced
        end = delta.offset + len(delta.text)
        held = min(self.length, end) - delta.offset
        if held and self._between(delta.offset, delta.offset + held) != delta.text[:held]:
            raise AnswerDiverged
        if end > self.placed:
            self.placed, self.lost = end, False
        if end <= self.length:
            return None
        fresh = delta if not held else _without(delta, held)
        self._parts.append(fresh.text)
        self.length = end
        return fresh

    def restart(self) -> None:
        """Another attempt begins: keep only what the consumer took."""
        self._parts, self.length = [self._between(0, self.taken)], self.taken
        self.placed = -1 if self.call else 0
        self.call, self.lost = self.announced, False

    def _between(self, start: int, end: int) -> str:
        if len(self._parts) != 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0][start:end]


def _without(delta: Delta, held: int) -> Delta:
    """A delta without its first characters, and without the logprobs of their tokens."""
    entries = _entries(delta.logprobs) if delta.logprobs else []
    covered = 0
    while entries and covered < held:
        covered += len(_token(entries.pop(0)).token)
    logprobs = msgspec.json.encode(entries) if entries else b""
    return Delta(delta.attempt, delta.choice, delta.channel, delta.offset + held, delta.text[held:], logprobs)
