"""The topology's keeper: when it applies, and what it says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from penstock_common.errors import BusUnavailable, TopologyRefused
from penstock_common.messaging.ports import Look
from penstock_common.messaging.rebuilding import LOOK_EVERY, PAUSE, TopologyKeeper
from penstock_common.messaging.topology import Topology

NOTHING = Topology((), (), ())


@dataclass
class Job:
    """A topology job that is told what it finds."""

    finds: list[bool | Exception]
    """What each look says, in order; the last repeats."""
    refuses: str = ""
    applied: int = 0
    looks: int = 0
    connections: list["asyncio.Future[None]"] = field(default_factory=list)

    async def apply(self, topology: Topology, *, tell: bool = True) -> list[str]:
        """Say what was made."""
        self.applied += 1
        if self.refuses:
            raise TopologyRefused(self.refuses)
        return ["create stream S"]

    async def diff(self, topology: Topology) -> list[str]:
        """Nothing."""
        return []

    @asynccontextmanager
    async def looking(self, topology: Topology) -> AsyncIterator[Look]:
        """Connect."""
        self.connections.append(asyncio.get_running_loop().create_future())
        yield Look(self._lacks, self.connections[-1])

    async def _lacks(self) -> bool:
        found = self.finds[min(self.looks, len(self.finds) - 1)]
        self.looks += 1
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Kept:
    """A keeper at work, and what it said."""

    job: Job
    restored: list[Sequence[str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@asynccontextmanager
async def keeping(job: Job, look_every: float = LOOK_EVERY) -> AsyncIterator[Kept]:
    """For the length of a block."""
    kept = Kept(job)
    keeper = TopologyKeeper(job, NOTHING, kept.restored.append, kept.refused.append, look_every)
    task = asyncio.create_task(keeper.run())
    await asyncio.sleep(0.1)
    yield kept
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_missing_is_made_and_told() -> None:
    """Once: the next look finds it there."""
    async with keeping(Job([True, False])) as kept:
        assert kept.restored == [["create stream S"]]


async def test_nothing_missing_nothing_applied() -> None:
    """Looking is all that it costs."""
    async with keeping(Job([False])) as kept:
        assert (kept.job.looks, kept.job.applied, kept.restored) == (1, 0, [])


async def test_a_bus_that_comes_back_is_looked_at_at_once() -> None:
    """Not only when the next look is due: it may have lost everything meanwhile."""
    async with keeping(Job([False, True, False])) as kept:
        kept.job.connections[0].cancel()
        await asyncio.sleep(PAUSE + 0.2)
        assert len(kept.job.connections) == 2
        assert kept.restored == [["create stream S"]]


async def test_a_bus_that_is_away_is_waited_for() -> None:
    """A question that fails means another connection."""
    async with keeping(Job([BusUnavailable("away"), True, False])) as kept:
        await asyncio.sleep(PAUSE + 0.2)
        assert (kept.job.looks, kept.restored) == (2, [["create stream S"]])


async def test_a_refusal_is_told_once() -> None:
    """It is tried again at each look: an operator may mend what stands in the way."""
    async with keeping(Job([True], refuses="it would lose messages"), look_every=0.02) as kept:
        await asyncio.sleep(0.1)
        assert kept.refused == ["it would lose messages"]
        assert kept.job.applied > 2
        kept.job.refuses = ""
        await asyncio.sleep(0.1)
        assert kept.restored
