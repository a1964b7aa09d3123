"""One readable log of many processes: prefixed lines on stderr, and a bounded file for each."""

import asyncio
import logging
import queue
import sys
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

FILE_BYTES = 5_000_000
FILES_KEPT = 3
LINE_BYTES = 1 << 20
BACKLOG = 10_000  # lines
COLOURS = {
    "api": 36,
    "inference": 35,
    "billing": 33,
    "worker": 32,
    "scheduler": 96,
    "indexer": 95,
    "nats": 34,
    "postgres": 94,
    "penstock": 1,
}


class Console:
    """Writes lines to a terminal or pipe from a thread of its own: a reader that stalls must not stall us."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._coloured = stream.isatty()
        self._lines: queue.Queue[str | None] = queue.Queue(BACKLOG)
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def say(self, name: str, line: str) -> None:
        """Queue a line of the process `name`; dropped where the reader is 10,000 lines behind (files keep it)."""
        prefix = f"{name:<9} | "
        if self._coloured:
            prefix = f"\x1b[{COLOURS.get(name.partition('.')[0], 37)}m{prefix}\x1b[0m"
        try:
            self._lines.put_nowait(f"{prefix}{line}\n")
        except queue.Full:
            return

    def close(self) -> None:
        """Write what is queued, for at most a second."""
        try:
            self._lines.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(1)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return


class Log:
    """The log of one process; its last lines stay at hand to explain a failure."""

    def __init__(self, name: str, folder: Path, console: Console | None) -> None:
        self._name = name
        self._console = console
        self._file = RotatingFileHandler(
            folder / f"{name}.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, errors="replace"
        )
        self.path = folder / f"{name}.log"
        self.last: deque[str] = deque(maxlen=10)

    def line(self, text: str) -> None:
        """Keep one line, and show it where this log is shown."""
        self.last.append(text)
        self._file.emit(logging.makeLogRecord({"msg": text}))
        if self._console:
            self._console.say(self._name, text)

    async def follow(self, output: asyncio.StreamReader) -> None:
        """Take lines until the process has closed its output; overlong ones are broken."""
        rest = b""
        while data := await output.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.line(line.decode(errors="replace").rstrip("\r"))
        if rest:
            self.line(rest.decode(errors="replace"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
