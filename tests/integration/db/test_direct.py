"""Statements on the driver alone: each commits by itself, and no lost connection is met twice."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from penstock_common.db.direct import Direct
from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable
from penstock_common.topology import PLATFORM

pytestmark = pytest.mark.integration

ADD = "insert into trial.effects values ($1) returning message"
EFFECTS = "select message from trial.effects order by 1"
PROCESS = "select pg_backend_pid() as id"
SLEEP = "select pg_sleep(30)"


@pytest.fixture
async def direct(trial_url: str) -> AsyncIterator[Direct]:
    """Statements of a service that may have one connection only."""
    database = Database(trial_url, "trial", PLATFORM, pool_size=1)
    yield database.direct
    await database.close()


async def process_of(direct: Direct) -> int:
    """The server's process that answers."""
    process: int = (await direct.fetch(PROCESS))[0]["id"]
    return process


async def on_server(url: str, statement: str, *given: object) -> list[asyncpg.Record]:
    """Run a statement on another connection."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement, *given))
    finally:
        await connection.close()


async def test_each_statement_commits_by_itself(direct: Direct, trial_url: str) -> None:
    """On one connection, which any number of tasks may share."""
    added = await asyncio.gather(*(direct.fetch(ADD, name) for name in "abc"))
    assert [rows[0]["message"] for rows in added] == ["a", "b", "c"]
    assert [row["message"] for row in await on_server(trial_url, EFFECTS)] == ["a", "b", "c"]
    assert await process_of(direct) == await process_of(direct)


async def test_a_cut_connection_is_replaced(direct: Direct, trial_url: str) -> None:
    """The statement under way fails as when the database is away, and so does one that finds the connection gone."""
    running = asyncio.create_task(direct.fetch(SLEEP))
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where query = $1 and state = 'active'"
    async with asyncio.timeout(10):
        while not await on_server(trial_url, cut, SLEEP):
            await asyncio.sleep(0.02)
    with pytest.raises(DatabaseUnavailable):
        await running
    process = await process_of(direct)
    await on_server(trial_url, "select pg_terminate_backend($1, 5000)", process)  # and wait for its end
    with pytest.raises(DatabaseUnavailable):
        await direct.fetch(PROCESS)
    assert await process_of(direct) != process


async def test_a_cancelled_statement_leaves_nothing_half_read(direct: Direct) -> None:
    """The next one has a connection of its own."""
    process = await process_of(direct)
    running = asyncio.create_task(direct.fetch(SLEEP))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await process_of(direct) != process


async def test_a_wrong_value_is_nobodys_outage(direct: Direct) -> None:
    """It is raised as it is, and the connection stays."""
    process = await process_of(direct)
    with pytest.raises(asyncpg.DataError):
        await direct.fetch("select $1::int", 10**12)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await direct.fetch("select 1 / 0")
    assert await process_of(direct) == process


async def test_a_closed_one_gives_its_connection_back(trial_url: str) -> None:
    """To whoever else needs one of the pool."""
    database = Database(trial_url, "trial", PLATFORM, pool_size=1)
    await process_of(database.direct)
    assert not await database.reachable()
    await database.direct.close()
    assert await database.reachable()
    await database.close()
