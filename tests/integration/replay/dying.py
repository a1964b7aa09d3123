"""A replay that dies of SIGKILL at one of its durable steps, in a process of its own."""

import asyncio
import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock import acting
from penstock.projecting import run as run_projecting
from penstock.projecting.found import PROJECTIONS
from penstock.replay import publishing, run
from penstock.replay.kept import ActFile
from penstock.replay.run import Places, carry_out
from tests.support.forks import FORKS
from tests.support.points import Points

BURST = 2  # messages


def carry(file: Path, places: Places, notes: Path, die_at: str) -> None:
    """The process's entry: take up an act, and die where told."""
    publishing.MOST = BURST
    points = Points(notes, die_at)
    points.own = "this act"
    steps = Steps(points)
    points.around(ActFile, "save", lambda *_: steps.next("save"))
    for module in (acting, run):
        steps.watch_connecting(module)
    opened = ActFile(file)
    asyncio.run(carry_out(opened.load(), opened, places, rate=1000))


def points_in(notes: Path) -> list[str]:
    """The points that a process noted, where a death leaves something of its own: before each step, and at the end."""
    points = (notes / "points").read_text().splitlines()
    (notes / "points").unlink()
    return [point for point in points if point.endswith("before")] + points[-1:]


class Steps:
    """Numbers what is done again and again: each time is a step of its own."""

    def __init__(self, points: Points) -> None:
        self._points, self._counts = points, dict[str, int]()

    def next(self, name: str) -> str:
        """The step's name."""
        self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name} {self._counts[name]}"

    def writing(self, statement: str) -> str | None:
        """The step of a statement that is about the live table."""
        verb = statement.split(maxsplit=1)[0]
        return self.next(verb) if verb in ("lock", "update", "insert", "delete") and "api." in statement else None

    def watch_connecting(self, module: object) -> None:
        """Whatever a module publishes is a step."""
        connect = module.connect_bus  # type: ignore[attr-defined]

        async def watched(*given: object) -> object:
            bus = await connect(*given)
            self._points.around(bus, "publish", lambda *_: self.next("word"))
            self._points.around(bus, "publish_all", lambda *_: self.next("publish"))
            return bus

        module.connect_bus = watched  # type: ignore[attr-defined]


def exchange(name: str, places: run_projecting.Places, notes: Path, die_at: str) -> None:
    """The process's entry: swap a projection, and die where told."""
    points = Points(notes, die_at)
    points.own = "this act"
    steps = Steps(points)
    points.around(AsyncConnection, "commit", lambda *_: steps.next("commit"))
    points.around(AsyncConnection, "execute", lambda _, statement, *__: steps.writing(str(statement)))
    steps.watch_connecting(acting)
    asyncio.run(run_projecting.swap(PROJECTIONS[name], places))


async def exchanged(name: str, places: run_projecting.Places, notes: Path, die_at: str = "") -> int:
    """Swap in another process; gives its exit code."""
    return await _ended(FORKS.Process(target=exchange, args=(name, places, notes, die_at)))


async def lived(file: Path, places: Places, notes: Path, die_at: str = "") -> int:
    """Carry an act out in another process; gives its exit code, as a signal's number below zero."""
    return await _ended(FORKS.Process(target=carry, args=(file, places, notes, die_at)))


async def _ended(process: ForkServerProcess) -> int:
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.join, 60)
    if process.exitcode is None:
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
    assert process.exitcode is not None
    return process.exitcode
