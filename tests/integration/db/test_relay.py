"""The relay: what was committed is published, at least once and under its own id."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock_common.contracts.billing import UsageRecorded
from penstock_common.contracts.generation import Tokens
from penstock_common.contracts.keys import KeyCreated
from penstock_common.db import relay as relay_module
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


async def write_unhurried(database: Database) -> str:
    """Commit a message for which nobody waits; returns its id."""
    fact = UsageRecorded(
        request_id=uuid7(),
        tenant=uuid7(),
        key_id=uuid7(),
        model="m",
        tokens=Tokens(1, 2),
        charge_nano=3,
        currency="USD",
        price_version=1,
        occurred_at=datetime.now(UTC),
    )
    async with database.transaction() as tx:
        tx.publish(fact)
    return tx.rows[0].outgoing.message_id


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


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long messages gather, and keeps the poller away from them."""
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 3600.0)
    return lambda gather: monkeypatch.setattr(relay_module, "GATHER_SECONDS", gather)


async def sent(bus: MemoryBus, count: int) -> list[str]:
    """The ids that left, once they are so many."""
    async with asyncio.timeout(10):
        while len(bus.sent) < count:
            await asyncio.sleep(0.01)
    return bus.sent


async def test_what_nobody_waits_for_leaves_together(database: Database, seconds: Callable[[float], None]) -> None:
    """Of several transactions one group, by itself."""
    seconds(2.0)
    bus = MemoryBus()
    relay = relay_of(database, bus)
    await relay.start()
    ids = [await write_unhurried(database) for _ in range(3)]
    assert bus.sent == []
    assert await sent(bus, 3) == ids
    await relay.stop()
    assert bus.groups == [3]
    assert await execute(database, UNPUBLISHED) == 0


async def test_what_somebody_waits_for_takes_along_what_gathers(
    database: Database, seconds: Callable[[float], None]
) -> None:
    """At once, in the order of the commits; and a stop waits for nothing."""
    seconds(60.0)
    bus = MemoryBus()
    relay = relay_of(database, bus)
    await relay.start()
    ids = [await write_unhurried(database), *await write(database)]
    assert await sent(bus, 2) == ids
    ids.append(await write_unhurried(database))
    await relay.stop()
    assert bus.sent == ids


async def test_what_comes_while_a_group_leaves_gathers_anew(
    database: Database, seconds: Callable[[float], None]
) -> None:
    """Else the slowness of the bus would make small groups of a busy hour."""
    seconds(2.0)
    late: list[str] = []

    async def more() -> None:
        if not late:
            late.append("")
            late[0] = await write_unhurried(database)

    bus = MemoryBus(confirmed=more)
    relay = relay_of(database, bus)
    await relay.start()
    ids = [await write_unhurried(database), await write_unhurried(database)]
    assert await sent(bus, 3) == [*ids, *late]
    await relay.stop()
    assert bus.groups == [2, 1]


async def test_a_mark_awaits_no_flush_and_nothing_else_goes_without(database: Database) -> None:
    """A mark lost with the server is made again; an effect would be lost."""
    await write(database)
    key = {"day": await execute(database, "select day from trial.outbox")}
    key["ids"] = [await execute(database, "select id from trial.outbox")]
    shown = "show synchronous_commit"
    async with database.engine.connect() as connection:
        await connection.execute(text("set synchronous_commit = on"))
        await connection.commit()
        await connection.execute(text(relay_module.MARK.format(schema="trial", **relay_module.NAMED)), key)
        assert await connection.scalar(text(shown)) == "off"
        await connection.commit()
        assert await connection.scalar(text(shown)) == "on"


async def test_marks_of_two_days_are_all_made(database: Database) -> None:
    """Around midnight one group has rows of both."""
    relay = relay_of(database, MemoryBus())
    ids = await abandoned(database, 4)
    move = "update trial.outbox set day = day + 1 where message_id = any(:ids)"
    async with database.engine.begin() as connection:
        await connection.execute(text(move), {"ids": ids[:2]})
    assert await relay.publish_orphans() == 4
    assert await execute(database, UNPUBLISHED) == 0


async def test_a_paused_relay_leaves_its_rows_to_another(database: Database, trial_url: str) -> None:
    """Neither what it commits nor what it finds; the other process, on another bus say, publishes all of it once."""
    former, other = MemoryBus(), MemoryBus()
    paused = relay_of(database, former)
    await paused.start()
    paused.pause()
    ids = await write(database, 3)
    await execute(database, AGE)
    await asyncio.sleep(1)
    assert former.sent == []
    relay = relay_of(Database(trial_url, "trial", database.topology), other)
    assert await relay.publish_orphans() == 3
    assert sorted(other.sent) == sorted(ids)
    await paused.stop()
    await relay.database.close()
