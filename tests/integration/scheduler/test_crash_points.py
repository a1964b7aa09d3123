"""A process killed at each point of a tick's transaction: another one ends in the same state."""

import signal
from datetime import timedelta

import pytest

from tests.support.dying import COMMITTED
from tests.support.forks import lived
from tests.support.scheduling import NOON, Scheduler
from tests.support.scheduling_process import crash

pytestmark = pytest.mark.integration

POINTS = {"1": "claim", "2": "tick", "3": "next moment", "4": "outbox", COMMITTED: "commit, before anything is sent"}


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_changes_nothing(scheduler: Scheduler, point: str) -> None:
    """Before the commit nothing is there; after it, everything is, and the next process fires it no more."""
    id_ = await scheduler.save()
    scheduler.clock.move(minutes=1)
    assert await lived(crash, scheduler.url, scheduler.keyring, scheduler.clock.now(), point) == -signal.SIGKILL
    assert len(await scheduler.orders()) == (point == COMMITTED)
    await scheduler.tick()
    assert [due for due, _ in await scheduler.orders()] == [NOON + timedelta(minutes=1)]
    assert await scheduler.ticks(id_) == [NOON + timedelta(minutes=1)]
