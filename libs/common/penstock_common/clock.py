"""Time as a port, so that tests move it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, boot time for leases."""

    def now(self) -> datetime:
        """The current time, in UTC."""

    def boottime(self) -> float:
        """Seconds since boot, suspension included: what a lease is measured with."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)

    def boottime(self) -> float:
        """Seconds since boot, suspension included (CLOCK_BOOTTIME; monotonic where there is none)."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()
