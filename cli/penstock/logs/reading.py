"""Log files with their rotated predecessors, read once or followed."""

import heapq
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from penstock.logs.entry import Entry, Story
from penstock.platform.crew import role_of
from penstock.platform.errors import PlatformError
from penstock.platform.logs import FILES_KEPT

POLL = 0.2  # seconds
CHUNK = 1 << 16


class Tail:
    """One log: what its older files hold, then what is in the current one, then what is added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._story = Story(path.stem)
        self._file: BinaryIO | None = None
        self._rest = b""
        self._older: list[Path] = []
        self._open()

    def entries(self) -> Iterator[Entry]:
        """What is there and was not given yet; a line that is still being written is left for later."""
        return map(self._story.entry, self._lines())

    def close(self) -> None:
        """Release the file."""
        if self._file:
            self._file.close()

    def _lines(self) -> Iterator[str]:
        older, self._older = self._older, []
        for path in older:
            yield from path.read_text(errors="replace").splitlines()
        yield from self._current()
        while self._was_rotated():
            self._open()
            yield from self._current()

    def _open(self) -> None:
        """The current file first: one that is rotated meanwhile is held open, and not read twice."""
        is_first = self._file is None
        self.close()
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            self._file = None
            return
        if is_first:
            numbers = range(FILES_KEPT, 0, -1)
            there = [path for n in numbers if (path := self.path.with_name(f"{self.path.name}.{n}")).exists()]
            self._older = [path for path in there if not _is_open(path, self._file)]

    def _current(self) -> Iterator[str]:
        while self._file and (data := self._file.read(CHUNK)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)

    def _was_rotated(self) -> bool:
        try:
            return self._file is None or not _is_open(self.path, self._file)
        except FileNotFoundError:
            return False


def _is_open(path: Path, file: BinaryIO) -> bool:
    return os.path.samestat(path.stat(), os.fstat(file.fileno()))


def logs_in(folder: Path, services: Sequence[str]) -> list[Tail]:
    """The logs of these services, of all for none. Raises PlatformError where there is none of that name."""
    there = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if not there:
        raise PlatformError(f"There are no logs in {folder} yet. Start the platform: make up (or penstock up)")
    roles = {name: {name, role_of(name)} for name in there}
    if unknown := [name for name in services if not any(name in known for known in roles.values())]:
        raise PlatformError(f"There is no log of {unknown[0]!r}; there are: {', '.join(there)}.")
    return [Tail(path) for name, path in there.items() if roles[name] & set(services) or not services]


def recent(tails: Sequence[Tail]) -> Iterator[Entry]:
    """All that is there, in the order of time."""
    return heapq.merge(*(tail.entries() for tail in tails), key=lambda entry: entry.at)


def added(tails: Sequence[Tail]) -> Iterator[Entry]:
    """What is added from now on, for ever."""
    while True:
        yield from itertools.chain.from_iterable(tail.entries() for tail in tails)
        time.sleep(POLL)
