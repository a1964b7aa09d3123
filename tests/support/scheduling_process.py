"""Scheduler processes to be killed.

`python -m tests.support.scheduling_process serve BUS DATABASE KEYRING ORIGIN` is a whole one, on a clock that runs
`SPEED` times as fast since ORIGIN. `… crash DATABASE KEYRING NOW POINT` fires what is due, and dies at a point.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from penstock_common.service import begin
from penstock_scheduler.app import App
from penstock_scheduler.settings import Settings
from tests.support.dying import die_at
from tests.support.scheduling import MovedClock, Scheduler

SPEED = 20.0


class FastClock:
    """Seconds since `origin` (Unix time) count for more than one; the same in every process."""

    def __init__(self, origin: float) -> None:
        self.origin = origin

    def now(self) -> datetime:
        """The time that it shows."""
        return datetime.fromtimestamp(self.origin, UTC) + timedelta(seconds=(time.time() - self.origin) * SPEED)

    def boottime(self) -> float:
        """The same in seconds."""
        return self.now().timestamp()


def settings(bus: str, database: str, keyring: str) -> Settings:
    """Addresses alone."""
    given = {"bus": {"url": bus}, "database": {"url": database}, "http": {"port": 0}, "keyring": {"path": keyring}}
    return Settings.model_validate(given)


async def serve(bus: str, database: str, keyring: str, origin: str) -> None:
    """Run until killed; says so once it receives."""
    app = App(settings(bus, database, keyring), FastClock(float(origin)), longest_sleep=0.1)
    await begin(app)
    print("serving", flush=True)
    await asyncio.Event().wait()


async def crash(database: str, keyring: str, now: str, point: str) -> None:
    """Fire what is due until the point is reached."""
    scheduler = Scheduler(database, Path(keyring), MovedClock(datetime.fromisoformat(now)))
    die_at(scheduler.database, point)
    await scheduler.ticker.turn()


if __name__ == "__main__":
    asyncio.run({"serve": serve, "crash": crash}[sys.argv[1]](*sys.argv[2:]))
