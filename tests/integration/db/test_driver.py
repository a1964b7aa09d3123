"""Single statements on a connection of the pool, past SQLAlchemy: no broken connection goes back into it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable
from penstock_common.topology import PLATFORM

pytestmark = pytest.mark.integration

PROCESS = "select pg_backend_pid() as id"


@pytest.fixture
async def pool(trial_url: str) -> AsyncIterator[Database]:
    """A pool whose connections are told apart by their server processes: there is one at a time."""
    database = Database(trial_url, "trial", PLATFORM, pool_size=1)
    yield database
    await database.close()


async def process_of(database: Database) -> int:
    """The server's process that answers."""
    async with database.driver() as driver:
        process: int = (await driver.fetch(PROCESS))[0]["id"]
        return process


async def end(url: str, process: int) -> None:
    """End a server process, and wait for that."""
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("select pg_terminate_backend($1, 5000)", process)
    await connection.close()


async def test_a_connection_is_used_again_and_each_statement_commits(pool: Database) -> None:
    """By those who ask through SQLAlchemy, too."""
    process = await process_of(pool)
    async with pool.driver() as driver:
        await driver.fetch("insert into trial.effects values ('a')")
    async with pool.transaction() as tx:
        assert (await tx.connection.exec_driver_sql("select message from trial.effects")).scalar() == "a"
    assert await process_of(pool) == process


async def test_a_connection_that_ended_unused_is_passed_over(pool: Database, trial_url: str) -> None:
    """Nobody hears of it: the next one answers."""
    process = await process_of(pool)
    await end(trial_url, process)
    await asyncio.sleep(0.1)  # until the end is read
    assert await pool.reachable()
    assert await process_of(pool) != process


async def test_a_kept_connection_does_not_begin_with_one_that_ended(pool: Database, trial_url: str) -> None:
    """As it comes out of the same pool."""
    process = await process_of(pool)
    await end(trial_url, process)
    await asyncio.sleep(0.1)  # until the end is read
    assert (await pool.direct.fetch(PROCESS))[0]["id"] != process


async def asleep(pool: Database) -> asyncio.Task[None]:
    """A statement that is under way."""

    async def sleep() -> None:
        async with pool.driver() as driver:
            await driver.fetch("select pg_sleep(30)")

    running = asyncio.create_task(sleep())
    await asyncio.sleep(0.1)
    return running


async def test_a_connection_that_ends_under_a_statement_is_given_up(pool: Database, trial_url: str) -> None:
    """The statement fails as when the database is away, and the next one has another connection."""
    process = await process_of(pool)
    running = await asleep(pool)
    await end(trial_url, process)
    with pytest.raises(DatabaseUnavailable):
        await running
    assert await process_of(pool) != process


async def test_a_cancelled_statement_leaves_nothing_half_read(pool: Database) -> None:
    """Its connection is given up."""
    process = await process_of(pool)
    running = await asleep(pool)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await process_of(pool) != process


async def test_what_the_server_refuses_costs_no_connection(pool: Database) -> None:
    """It is raised as it is."""
    process = await process_of(pool)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with pool.driver() as driver:
            await driver.fetch("select 1 / 0")
    assert await process_of(pool) == process
