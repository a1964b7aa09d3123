"""How much of a streamed answer its client has, in one word: the id of each of its server-sent events.

`<attempt>:<entry>,<entry>…`, then `!<n>` once n events of the end were sent. An entry is `<choice>` where only the role
of that choice was told, else `<choice><channel>=<characters>.<crc32>`: `1:0r=42.9ae0daaf,0c=7.3b0c7f4e!1`.
Channels: `c` content, `r` reasoning, `f` refusal, `t<i>` the arguments of tool call i, whose digest begins with the
call's id and name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from penstock_api.domain.errors import PositionInvalid
from penstock_common.contracts.stream import channel_key

MAX_CHARACTERS = 4096  # of a position: hundreds of tool calls, and half of what proxies take of a header

CODES = {"content": "c", "reasoning": "r", "refusal": "f"}
NAMES = {code: name for name, code in CODES.items()}

_NUMBER = "(?:0|[1-9][0-9]{0,7})"
_WORD = re.compile(rf"({_NUMBER}):([^!]*)(?:!([1-9][0-9]{{0,3}}))?")
_ENTRY = re.compile(rf"({_NUMBER})(?:([crf]|t{_NUMBER})=({_NUMBER})\.(0|[1-9a-f][0-9a-f]{{0,7}}))?")


class Mark(NamedTuple):
    """How much of one channel its reader has."""

    offset: int
    """Characters."""
    crc: int
    """crc32 of their UTF-8."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two events of a streamed answer."""

    attempt: int = 0
    roles: tuple[int, ...] = ()
    """Choices of which only the role was told."""
    marks: Mapping[str, Mark] = field(default_factory=lambda: MappingProxyType({}))
    """By `<choice>/<channel>`."""
    ends: int = 0
    """Events of the end that were sent."""

    @classmethod
    def parse(cls, word: str) -> "Position":
        """The position that a client names. Raises PositionInvalid for what was never an event's id."""
        if len(word) > MAX_CHARACTERS:
            raise PositionInvalid(
                f"The position has {len(word)} characters, {MAX_CHARACTERS} at most; read the answer from its "
                "beginning, or whole at /result."
            )
        found = _WORD.fullmatch(word)
        if found is None:
            raise PositionInvalid
        roles, marks = _entries(found[2].split(",")) if found[2] else ((), {})
        return cls(int(found[1]), roles, marks, int(found[3] or 0))


BEGINNING = Position()
"""Before the first event."""


def _entries(words: list[str]) -> tuple[tuple[int, ...], dict[str, Mark]]:
    """Choices of which only the role was told, and the channels of the others. Raises PositionInvalid."""
    roles: list[int] = []
    marks: dict[str, Mark] = {}
    for word in words:
        part = _ENTRY.fullmatch(word)
        if part is None:
            raise PositionInvalid
        choice, code = int(part[1]), part[2]
        if code:
            marks[channel_key(choice, name_of(code))] = Mark(int(part[3]), int(part[4], 16))
        else:
            roles.append(choice)
    spoken = {place_of(key)[0] for key in marks}
    if len(set(roles)) + len(marks) < len(words) or spoken.intersection(roles):
        raise PositionInvalid
    return tuple(roles), marks


def place_of(key: str) -> tuple[int, str]:
    """The choice and the name of a channel."""
    choice, _, name = key.partition("/")
    return int(choice), name


def code_of(choice: int, name: str) -> str:
    """How a channel is named in a position."""
    return f"{choice}{CODES.get(name) or name.replace('tool.', 't')}"


def name_of(code: str) -> str:
    """The channel of a code without its choice."""
    return NAMES.get(code) or code.replace("t", "tool.")


class Told:
    """What the reader of an answer was told so far; written out after each event."""

    __slots__ = ("_entries", "choices", "ends")

    def __init__(self, after: Position = BEGINNING) -> None:
        self._entries: dict[str, str] = {}
        self.choices: set[int] = set()
        """Choices whose role was told."""
        self.ends = after.ends
        """Events of the end."""
        for choice in after.roles:
            self.role(choice)
        for key, mark in after.marks.items():
            choice, name = place_of(key)
            self.role(choice)
            self.text(choice, code_of(choice, name), mark.offset, mark.crc)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was told."""
        return not self._entries and not self.ends

    def role(self, choice: int) -> None:
        """A choice was greeted."""
        self.choices.add(choice)
        self._entries[str(choice)] = str(choice)

    def text(self, choice: int, code: str, offset: int, crc: int) -> None:
        """Text of a channel was told, so many characters in all."""
        if code not in self._entries:
            self._entries.pop(str(choice), None)
        self._entries[code] = f"{code}={offset}.{crc:x}"

    def word(self, attempt: int) -> bytes:
        """The position now."""
        end = f"!{self.ends}" if self.ends else ""
        return f"{attempt}:{','.join(self._entries.values())}{end}".encode()
