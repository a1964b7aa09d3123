"""Who listens to one run: how much of it each process was sent, and how much it may be sent."""

import asyncio
from collections.abc import Iterator

from penstock_common.contracts.stream import Frame
from penstock_inference.domain.output import Output, Progress
from penstock_inference.domain.parts import part_of

MOST_LISTENERS = 64  # processes that one run is sent to


class Listener:
    """One process that holds a client of a run."""

    __slots__ = ("_heard_at", "asked_at", "most", "paused", "progress")

    def __init__(self, progress: Progress, most: int, asked_at: float) -> None:
        self.progress = progress
        self.most = most
        """Characters that it may be sent until it has everything; 0 where it may be sent all."""
        self.asked_at = asked_at
        """When it was last known to want this answer, by `Clock.boottime`."""
        self.paused = False
        """Whether it was sent what it may be sent, which was not all: it asks again."""
        self.heard()

    def due(self, output: Output, attempt: int) -> tuple[list[Frame], bool]:
        """What to send it now, and whether it has everything then."""
        if self.paused:
            return [], False
        part = part_of(output.since(self.progress, attempt), self.most)
        return part.frames, part.is_all

    def was_sent(self, output: Output, *, everything: bool) -> None:
        """It was sent what was due."""
        self.heard()
        if everything:
            self.progress, self.most = output.progress(), 0
        else:
            self.paused = True

    def heard(self) -> None:
        """It heard of this run now."""
        self._heard_at = asyncio.get_running_loop().time()

    def silent_seconds(self) -> float:
        """How long it has heard nothing."""
        return asyncio.get_running_loop().time() - self._heard_at


class Listening:
    """The listeners of one run."""

    def __init__(self, process: str, now: float) -> None:
        self._by_process = {process: Listener(Progress(), 0, now)}

    def __iter__(self) -> Iterator[tuple[str, Listener]]:
        return iter(list(self._by_process.items()))

    def __len__(self) -> int:
        return len(self._by_process)

    def are_all_in(self, processes: set[str]) -> bool:
        """Whether there are any, and none beside these."""
        return bool(self._by_process) and self._by_process.keys() <= processes

    def add(self, process: str, listener: Listener) -> None:
        """One more, or one that asks again; of too many the one that was not heard from for longest must ask again."""
        self._by_process.pop(process, None)
        while len(self._by_process) >= MOST_LISTENERS:
            del self._by_process[min(self._by_process, key=lambda name: self._by_process[name].asked_at)]
        self._by_process[process] = listener

    def drop(self, process: str) -> None:
        """It listens no more."""
        self._by_process.pop(process, None)
