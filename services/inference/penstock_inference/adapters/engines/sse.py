"""Server-sent events from bytes that arrive in any pieces (WHATWG HTML, section 9.2)."""

import re

MAX_EVENT = 8 << 20  # bytes of one line, and of one event's data
BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")


class SseTooLarge(Exception):
    """A line or an event is longer than 8 MiB."""


class SseParser:
    """Gives the `data` of each event. Comments, ids, names and retry times are left out."""

    def __init__(self) -> None:
        self._line = bytearray()  # the line that has not ended yet
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completes. Raises SseTooLarge."""
        if (plain := self._plain(chunk)) is not None:
            return plain
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk[1:] if chunk[0] == 0x0A else chunk
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        lines = LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        events: list[bytes] = []
        for line in lines[:-1]:
            if self._line:
                self._line += line
                line = bytes(self._line)  # noqa: PLW2901 (the line's beginning came in an earlier chunk)
                self._line.clear()
            self._take(line, events)
        self._line += lines[-1]
        if len(self._line) > MAX_EVENT:
            raise SseTooLarge
        return events

    def finish(self) -> list[bytes]:
        """The data of an event that the end of the stream cut short of its blank line."""
        events: list[bytes] = []
        self._take(bytes(self._line), events)
        self._take(b"", events)
        self._line.clear()
        return events

    def _plain(self, chunk: bytes) -> list[bytes] | None:
        """The same for whole events of one line each, as engines mostly send them; None for any other chunk."""
        if self._first or self._line or self._data or self._after_cr or not chunk.endswith(b"\n\n") or b"\r" in chunk:
            return None
        if len(chunk) > MAX_EVENT:
            return None
        blocks = chunk[:-2].split(b"\n\n")
        events = [block[6:] for block in blocks if block.startswith(b"data: ") and b"\n" not in block]
        return events if len(events) == len(blocks) else None

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(BOM)
        if not line:
            if self._data:
                events.append(b"\n".join(self._data) if len(self._data) > 1 else self._data[0])
                self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            self._add(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._add(b"")

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_EVENT:
            raise SseTooLarge
        self._data.append(data)
