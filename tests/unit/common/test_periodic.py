"""Work that repeats by timer, and sooner by a nudge."""

import asyncio

from penstock_common.errors import DatabaseUnavailable
from penstock_common.periodic import Periodic

NEVER = 60.0  # seconds


class Work:
    """Counts how often it was done, and fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.done, self.failures, self.ended = 0, failures, asyncio.Event()

    async def __call__(self) -> None:
        self.done += 1
        self.ended.set()
        if self.done <= self.failures:
            raise DatabaseUnavailable

    async def again(self) -> None:
        """Return once it was done once more."""
        async with asyncio.timeout(5):
            await self.ended.wait()
        self.ended.clear()


async def test_a_nudge_is_not_waited_out() -> None:
    """Neither the first one nor one that comes after a failure."""
    work = Work(failures=1)
    periodic = Periodic(NEVER, work, "test.failed")
    periodic.start()
    for _ in range(3):
        periodic.nudge()
        await work.again()
    await periodic.stop()
    assert work.done == 3


async def test_without_a_nudge_it_repeats_by_itself() -> None:
    """After each failure too."""
    work = Work(failures=2)
    periodic = Periodic(0.01, work, "test.failed")
    periodic.start()
    for _ in range(4):
        await work.again()
    await periodic.stop()
    done = work.done
    await asyncio.sleep(0.05)
    assert work.done == done


async def test_a_nudge_meanwhile_is_one_more_round() -> None:
    """However many there are."""
    rounds, gate = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        await gate.wait()

    periodic = Periodic(NEVER, work, "test.failed")
    periodic.start()
    periodic.nudge()
    await asyncio.sleep(0.05)
    periodic.nudge()
    periodic.nudge()
    gate.set()
    await asyncio.sleep(0.05)
    await periodic.stop()
    assert rounds == 2
