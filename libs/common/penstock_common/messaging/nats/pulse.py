"""Notices that the process was frozen, or its event loop blocked."""

import asyncio
from typing import Protocol

from penstock_common.clock import SystemClock

INTERVAL = 0.25  # seconds


class BootClock(Protocol):
    """What a pulse is measured with."""

    def boottime(self) -> float:
        """Seconds since boot, suspension included."""


class Pulse:
    """Ticks, and knows since when the loop has surely been running without a pause."""

    def __init__(self, clock: BootClock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._last = self.since = self._clock.boottime()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._last = self.since = self._clock.boottime()
        self._tick()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer:
            self._timer.cancel()

    def now(self) -> float:
        """CLOCK_BOOTTIME seconds."""
        return self._clock.boottime()

    def _tick(self) -> None:
        # One tick late on purpose: what is read in the first moments after a freeze arrived during it.
        self.since, self._last = self._last, self._clock.boottime()
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._tick)
