"""A scheduler whose database is away for a while."""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from tests.support.databases import execute
from tests.support.scheduling import NOON, Scheduler, every

pytestmark = pytest.mark.integration


async def test_ticks_are_made_up_for_when_the_database_is_back(scheduler: Scheduler, postgres_url: str) -> None:
    """The loop goes on by itself, and what was due meanwhile fires once."""
    id_ = await scheduler.save(every(30))
    name = urlsplit(scheduler.url).path[1:]
    sessions = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    scheduler.ticker.start()
    await execute(postgres_url, f"alter database {name} with allow_connections false", sessions)
    scheduler.clock.move(seconds=30)
    scheduler.ticker.nudge()
    await asyncio.sleep(0.5)
    await execute(postgres_url, f"alter database {name} with allow_connections true")
    async with asyncio.timeout(20):
        while await scheduler.ticks(id_) != [NOON + timedelta(seconds=30)]:
            await asyncio.sleep(0.1)
    assert scheduler.ticker.is_alive
    await scheduler.ticker.stop()
    assert len(await scheduler.orders()) == 1
