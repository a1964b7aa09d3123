"""Processes that die at a point, forked from one that has loaded everything: each begins within a few milliseconds."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from tests.integration.crash_points.crews import Books, Crew, Relaying, Ticking, narrow
from tests.support.forks import FORKS
from tests.support.points import Points

PATIENCE = 60.0  # seconds


class Orders(msgspec.Struct, frozen=True):
    """What one process is to do."""

    crew: str
    """Which service's process it is."""
    lane: str
    """The handler whose deliveries it takes; empty for none."""
    bus: str
    databases: dict[str, str]
    """URLs by service."""
    keyring: str
    notes: str
    """The folder where it notes the points that it passes."""
    own: str
    """The id that its points are about."""
    about: tuple[str, ...] = ()
    """Ids of what it handles beside that."""
    rows: tuple[str, ...] = ()
    """Outbox rows that are its own from the beginning."""
    die_at: str = ""


def crew_of(orders: Orders) -> Crew:
    """The process's parts."""
    if orders.crew == "books":
        return Books(orders.bus, orders.databases["billing"])
    if orders.crew == "relaying":
        return Relaying(orders.bus, orders.databases["api"])
    return Ticking(orders.bus, orders.databases["scheduler"], Path(orders.keyring))


def live(orders: Orders) -> None:
    """Work until killed."""
    with (Path(orders.notes) / "log").open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    asyncio.run(_live(orders))


async def _live(orders: Orders) -> None:
    points = Points(Path(orders.notes), orders.die_at)
    points.own = orders.own
    points.adopt(orders.rows)
    crew = crew_of(orders)
    narrow(crew, points, orders.lane, (orders.own, *orders.about))
    await crew.start()
    await asyncio.Event().wait()


class Life:
    """A process as seen from outside."""

    def __init__(self, orders: Orders) -> None:
        self.notes = Path(orders.notes)
        self.notes.mkdir(parents=True)
        self._process = FORKS.Process(target=live, args=(orders,), daemon=True)
        self._process.start()

    async def died(self) -> None:
        """Wait until it reached its point and was killed there."""
        await asyncio.to_thread(self._process.join, PATIENCE)
        assert self._process.exitcode == -9, (self._process.exitcode, self.points(), self.log())

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.join()

    def points(self) -> list[str]:
        """The points that it passed so far."""
        path = self.notes / "points"
        return path.read_text().splitlines() if path.exists() else []

    def log(self) -> str:
        """The end of what it printed."""
        return (self.notes / "log").read_text()[-3000:]
