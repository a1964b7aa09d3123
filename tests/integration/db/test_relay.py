"""The relay: what was committed is published, at least once and under its own id."""

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock_common.contracts.keys import KeyCreated
from penstock_common.db.relay import Relay
from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable
from penstock_common.ids import uuid7
from tests.support.bus import MemoryBus

pytestmark = pytest.mark.integration

AGE = "update trial.outbox set created_at = now() - interval '5 seconds', retry_at = '-infinity'"
CUT = """select pg_terminate_backend(pid) from pg_stat_activity
         where state = 'idle in transaction' and datname = current_database()"""
UNPUBLISHED = "select count(*) from trial.outbox where published_at is null"


async def write(database: Database, rows: int = 1, then: str = "select 1") -> list[str]:
    """Commit messages after a last statement; returns their ids."""
    async with database.transaction() as tx:
        for _ in range(rows):
            tx.publish(KeyCreated(key_id=uuid7(), tenant=uuid7(), version=1))
        await tx.connection.execute(text(then))
    return [row.outgoing.message_id for row in tx.rows]


async def execute(database: Database, statement: str) -> Any:
    """The first value, if any."""
    async with database.reading() as connection:
        result = await connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


async def abandoned(database: Database, rows: int = 1) -> list[str]:
    """Messages of a process that died after its commit."""
    ids = await write(database, rows)
    await execute(database, AGE)
    return ids


def relay_of(database: Database, bus: Any) -> Relay:
    """A relay that its test drives by hand."""
    return Relay(database, bus, "trial")


async def test_what_a_process_commits_it_publishes_at_once(database: Database) -> None:
    """And marks it, so that no other does."""
    bus = MemoryBus()
    relay = relay_of(database, bus)
    await relay.start()
    ids = await write(database, 3)
    await relay.stop()
    assert bus.sent == ids
    assert await execute(database, UNPUBLISHED) == 0


async def test_nothing_leaves_of_a_transaction_that_failed(database: Database) -> None:
    """Neither at once nor later."""
    bus = MemoryBus()
    relay = relay_of(database, bus)
    await relay.start()
    with pytest.raises(DBAPIError):
        await write(database, then="select 1 / 0")
    await relay.stop()
    assert await relay.publish_orphans() == 0
    assert bus.sent == []


async def test_a_late_commit_is_published(database: Database) -> None:
    """A row with an older id than those published already is found all the same."""
    bus = MemoryBus()
    relay = relay_of(database, bus)
    async with database.transaction() as slow:
        slow.publish(KeyCreated(key_id=uuid7(), tenant=uuid7(), version=1))
        await slow.connection.execute(text("select 1"))
        await abandoned(database, 2)
        assert await relay.publish_orphans() == 2
    await execute(database, AGE)
    assert await relay.publish_orphans() == 1
    assert slow.rows[0].outgoing.message_id in bus.kept


async def test_two_relays_publish_each_row_once(database: Database, trial_url: str) -> None:
    """What one has claimed the other leaves alone."""
    bus, other = MemoryBus(), Database(trial_url, "trial", database.topology)
    ids = await abandoned(database, 600)
    relays = [relay_of(database, bus), relay_of(other, bus)]
    try:
        while any(await asyncio.gather(*(r.publish_orphans() for r in relays))):
            pass
    finally:
        await other.close()
    assert sorted(bus.sent) == sorted(ids)


async def test_a_crash_between_publish_and_mark_repeats_under_the_same_id(database: Database, trial_url: str) -> None:
    """The bus keeps one."""
    ids = await abandoned(database, 2)

    async def cut() -> None:
        connection = await asyncpg.connect(trial_url)
        await connection.execute(CUT)
        await connection.close()

    bus = MemoryBus(confirmed=cut)
    with pytest.raises(DatabaseUnavailable):
        await relay_of(database, bus).publish_orphans()
    bus.confirmed = None
    assert await relay_of(database, bus).publish_orphans() == 2
    assert sorted(bus.sent) == sorted(ids * 2)
    assert await execute(database, UNPUBLISHED) == 0


async def test_a_refused_row_does_not_hold_up_others(database: Database) -> None:
    """It is tried again later."""
    bus = MemoryBus()
    refused, *others = await abandoned(database, 3)
    bus.refuses = lambda message: message.message_id == refused
    relay = relay_of(database, bus)
    assert await relay.publish_orphans() == 3
    assert sorted(bus.sent) == sorted(others)
    assert await relay.publish_orphans() == 0
    bus.refuses = lambda message: False
    await execute(database, AGE)
    await relay.publish_orphans()
    assert refused in bus.kept


async def test_what_the_bus_did_not_take_is_published_on_its_return(database: Database) -> None:
    """Nothing is kept in memory alone."""
    bus = MemoryBus(connected=False)
    relay = relay_of(database, bus)
    await relay.start()
    ids = await write(database, 3)
    await asyncio.sleep(0.1)
    bus.connected = True
    await execute(database, AGE)
    async with asyncio.timeout(5):
        while len(bus.kept) < len(ids):
            await asyncio.sleep(0.05)
    await relay.stop()
    assert bus.kept == set(ids)


async def test_a_row_of_a_living_process_is_left_to_it(database: Database) -> None:
    """The poller takes only what is a second old."""
    bus = MemoryBus()
    relay = relay_of(database, bus)
    database.offer = lambda rows: None
    await write(database)
    assert await relay.publish_orphans() == 0
