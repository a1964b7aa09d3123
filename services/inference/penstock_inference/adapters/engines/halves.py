"""Halves of surrogate pairs in an engine's JSON: engines that count in UTF-16 cut characters in two.

JSON may carry them as escapes (RFC 8259, section 8.2), text may not. A high half waits for its low one, which may
come in the next piece of the same channel; what stays alone becomes U+FFFD.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from penstock_inference.ports import EngineEvent, TextDelta, ToolCallStart

ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape sequence; group 1 is half of a pair."""
SHIFT = 0x10F800 - 0xD800  # halves travel through the JSON decoder as the last 2048 code points, which no text uses
PAIR = re.compile("([\U0010f800-\U0010fbff])([\U0010fc00-\U0010ffff])")
HALF = re.compile("[\U0010f800-\U0010ffff]")
LAST_HIGH = re.compile("[\U0010f800-\U0010fbff]\\Z")
ALONE = "\ufffd"


def marked(data: bytes) -> bytes:
    """JSON in which every half is a marker that decodes; the same bytes where there is none."""
    return ESCAPE.sub(lambda found: chr(int(found[1], 16) + SHIFT).encode() if found[1] else found[0], data)


def replaced(data: bytes) -> bytes:
    """JSON in which every half is U+FFFD; the same bytes where there is none."""
    return ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)


class Halves:
    """The high halves that wait in one streamed answer."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, str], str] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def joined(self, events: Sequence[EngineEvent]) -> Iterator[EngineEvent]:
        """The events of marked JSON with whole characters only."""
        for event in events:
            if isinstance(event, TextDelta):
                if text := self._join((event.choice, event.channel), event.text):
                    yield msgspec.structs.replace(event, text=text)
            elif isinstance(event, ToolCallStart):
                yield msgspec.structs.replace(event, id=HALF.sub(ALONE, event.id), name=HALF.sub(ALONE, event.name))
            else:
                yield event

    def left(self, choice: int) -> Iterator[TextDelta]:
        """What never found its low half, at the end of a choice."""
        for key in [key for key in self._waiting if key[0] == choice]:
            del self._waiting[key]
            yield TextDelta(*key, ALONE)

    def _join(self, key: tuple[int, str], text: str) -> str:
        text = PAIR.sub(together, self._waiting.pop(key, "") + text)
        if last := LAST_HIGH.search(text):
            self._waiting[key], text = last[0], text[: last.start()]
        return HALF.sub(ALONE, text)


def together(pair: re.Match[str]) -> str:
    """The character of two markers."""
    high, low = (ord(half) - SHIFT for half in pair.groups())
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
