"""Notices that the process was frozen, or its event loop blocked, for longer than the server may have waited."""

import asyncio

from penstock_common.clock import Clock, SystemClock

INTERVAL = 0.25  # seconds
LIMIT = 5.5
"""Seconds. The server gives a silent connection up two heartbeat intervals (8 s) after its last frame at the
earliest, and that frame may be half an interval (2 s) older than the pause."""


class Pulse:
    """Ticks; after too long a pause, whatever was received before it, or in its wake, is no longer held."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._last = self._since = self._clock.boottime()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        if self._timer is None:
            self._last = self._clock.boottime()
            self._arm()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer:
            self._timer.cancel()

    def now(self) -> float:
        """CLOCK_BOOTTIME seconds."""
        return self._clock.boottime()

    def unbroken(self, since: float) -> bool:
        """Whether no long pause has been since a moment."""
        return since >= self._since and self._clock.boottime() - self._last < LIMIT

    def tick(self) -> None:
        """The loop runs now."""
        now = self._clock.boottime()
        if now - self._last >= LIMIT:
            self._since = now + INTERVAL  # what is read in the first moments after a freeze arrived during it
        self._last = now

    def _arm(self) -> None:
        self.tick()
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._arm)
