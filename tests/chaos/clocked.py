"""Runs a service whose wall clock is wrong by as much as a file says: `python -m tests.chaos.clocked MODULE FILE`.

What a lease is measured with goes on evenly, as it does where the wall clock is set.
"""

import os
import runpy
import struct
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from penstock_common.clock import SystemClock

FORMAT = struct.Struct("<d")
NOW, TIME, TIME_NS = SystemClock.now, time.time, time.time_ns


def set_offset(file: Path, seconds: float) -> None:
    """Have the clock of whoever reads this file be wrong by so many seconds, from now on."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(descriptor, FORMAT.pack(seconds), 0)
    os.close(descriptor)


def be_wrong(file: Path) -> None:
    """From now on this process's clocks are wrong by what the file says."""
    descriptor = os.open(file, os.O_RDONLY)

    def offset() -> float:
        (seconds,) = FORMAT.unpack(os.pread(descriptor, FORMAT.size, 0))
        return float(seconds)

    def now(self: SystemClock) -> datetime:
        return NOW(self) + timedelta(seconds=offset())

    SystemClock.now = now  # type: ignore[method-assign]
    time.time = lambda: TIME() + offset()
    time.time_ns = lambda: TIME_NS() + int(offset() * 1e9)


if __name__ == "__main__":
    module, given = sys.argv[1:]
    be_wrong(Path(given))
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__")
