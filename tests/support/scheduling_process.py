"""Scheduler processes to be killed."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
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


async def serve(bus: str, database: str, keyring: str, origin: float, ready: Connection) -> None:
    """Be a whole one until killed, on a clock that runs `SPEED` times as fast since `origin`; says once it receives."""
    app = App(settings(bus, database, keyring), FastClock(origin), longest_sleep=0.1)
    await begin(app)
    ready.send("serving")
    await asyncio.Event().wait()


async def crash(database: str, keyring: Path, now: datetime, point: str) -> None:
    """Fire what is due until the point is reached."""
    scheduler = Scheduler(database, keyring, MovedClock(now))
    die_at(scheduler.database, point)
    await scheduler.ticker.turn()
