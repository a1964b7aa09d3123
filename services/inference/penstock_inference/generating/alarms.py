"""Many patiences, one timer: runs and engine calls are ended late by a twentieth of a second at most, never early."""

import asyncio
import heapq
import math
from collections.abc import Callable
from contextvars import Context

from penstock_inference.generating.pulse import called

SLOT_SECONDS = 0.05
EARLY_SECONDS = 0.001  # by which a loop's timer may be early


class Alarm:
    """Rings once, unless it is cancelled before. Times are those of the loop."""

    __slots__ = ("_alarms", "_kept_for", "at", "ring", "slot")

    def __init__(self, alarms: "Alarms", at: float, ring: Callable[[], None]) -> None:
        self._alarms, self.at, self.ring = alarms, at, ring
        self.slot, self._kept_for = 0, at

    def move(self, at: float) -> None:
        """Ring at another time; a later one costs nothing until the earlier one is there."""
        self.at = at
        if at < self._kept_for:
            self._kept_for = at
            self._alarms.forget(self)
            self._alarms.keep(self)

    def cancel(self) -> None:
        """Ring no more."""
        self.ring = nothing
        self._alarms.forget(self)


class Alarms:
    """The alarms of a process, in slots; one timer waits for the next slot that holds any."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Alarm]] = {}
        self._order: list[int] = []
        """The slots' numbers as a heap; those of slots that were emptied may be among them."""
        self._timer: asyncio.TimerHandle | None = None
        self._timed_for = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def set(self, at: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` at a time of the running loop."""
        alarm = Alarm(self, at, ring)
        self.keep(alarm)
        return alarm

    def keep(self, alarm: Alarm) -> None:
        """Put an alarm where its time is."""
        number = alarm.slot = slot_of(alarm.at)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = set()
            heapq.heappush(self._order, number)
            if self._timer is None or number < self._timed_for:
                self._wait()
        slot.add(alarm)

    def forget(self, alarm: Alarm) -> None:
        """Take an alarm out; one that rang is in no slot any more."""
        slot = self._slots.get(alarm.slot)
        if slot is not None:
            slot.discard(alarm)
            if not slot:
                del self._slots[alarm.slot]

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while self._order and self._order[0] not in self._slots:
            heapq.heappop(self._order)
        if not self._order:
            self._timer = None
            return
        self._timed_for = self._order[0]
        at, nobodys = self._timed_for * SLOT_SECONDS, Context()  # not that of the run which happens to be the first
        self._timer = asyncio.get_running_loop().call_at(at, self._turn, context=nobodys)

    def _turn(self) -> None:
        """Ring what is due; what was moved meanwhile waits on."""
        self._timer = None
        now = asyncio.get_running_loop().time() + EARLY_SECONDS
        while self._order and self._order[0] * SLOT_SECONDS <= now:
            for alarm in self._slots.pop(heapq.heappop(self._order), ()):
                if alarm.at > now:
                    self.keep(alarm)
                else:
                    called([alarm.ring])
        self._wait()


def nothing() -> None:
    """What an alarm does that was cancelled by another of its slot."""


def slot_of(at: float) -> int:
    """The first slot that is not before a time."""
    return math.ceil(at / SLOT_SECONDS)
