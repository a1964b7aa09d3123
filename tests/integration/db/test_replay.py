"""After the bus lost what it kept, every service says again what it said; nothing takes effect twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from penstock_common.contracts.keys import KeyCreated, KeyRevoked
from penstock_common.db import replay
from penstock_common.db.relay import Relay
from penstock_common.db.replay import Replay
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus, make_inspector
from penstock_common.messaging.ports import Bus
from penstock_common.messaging.router import Router
from penstock_common.messaging.runtime import Runtime
from penstock_common.messaging.topology import DEAD_LETTERS, QUARANTINE, Consumer, Runner, Topology
from penstock_common.topology import API_EVENTS, BUS_REBUILT, KEY_CREATED, KEY_REVOKED, UPKEEP
from tests.support.bus import MemoryBus
from tests.support.emptied import delete_everything

pytestmark = pytest.mark.integration

ON_KEY_CREATED = Consumer("trial", "on_key_created", KEY_CREATED, runner=Runner.PLAIN)
TRIAL = Topology(
    (API_EVENTS, UPKEEP, QUARANTINE, DEAD_LETTERS),
    (KEY_CREATED, KEY_REVOKED, BUS_REBUILT),
    (ON_KEY_CREATED,),
    BUS_REBUILT,
)
router = Router("trial")


@router.on(KeyCreated)
async def on_key_created(event: KeyCreated, deps: Database) -> None:
    """One row for each event, in the transaction that knows what was handled."""
    async with deps.transaction(event) as tx:
        await tx.connection.execute(text("insert into trial.effects values (:id)"), {"id": str(event.key_id)})


@pytest.fixture
async def database(trial_url: str) -> AsyncIterator[Database]:
    """One process's way to its schema."""
    database = Database(trial_url, "trial", TRIAL)
    yield database
    await database.close()


@asynccontextmanager
async def speaking(database: Database, url: str) -> AsyncIterator[Bus]:
    """A process of a service that publishes, and hears when it must do so again."""
    bus = await connect_bus(url, "trial")
    relay, again = Relay(database, bus, "trial"), Replay(database, bus, "trial")
    await relay.start()
    again.start()
    yield bus
    await again.stop()
    await relay.stop()
    await bus.close()


@asynccontextmanager
async def handling(database: Database, bus: Bus) -> AsyncIterator[None]:
    """The service's handlers at work."""
    runtime = Runtime(bus, TRIAL, router, database)
    await runtime.start()
    yield
    await runtime.stop(1)


async def laid_out(url: str) -> None:
    """The topology, its first word heard by whoever speaks: nothing was lost then."""
    await apply_topology(url, TRIAL)
    await asyncio.sleep(replay.SETTLE_SECONDS + 1)


async def write(database: Database, count: int) -> set[str]:
    """Commit events; returns the ids of their keys."""
    keys = [uuid7() for _ in range(count)]
    async with database.transaction() as tx:
        for key in keys:
            tx.publish(KeyCreated(key_id=key, tenant=uuid7(), version=1))
    return set(map(str, keys))


async def column(database: Database, statement: str) -> list[Any]:
    """The first column of what a query gives."""
    async with database.reading() as connection:
        return list(await connection.scalars(text(statement)))


async def until_all(database: Database, statement: str, wanted: set[str], within: float = 15.0) -> float:
    """Wait until a query gives just these, each once; returns the seconds it took."""
    began = time.monotonic()
    while sorted(found := await column(database, statement)) != sorted(wanted):
        assert time.monotonic() - began < within, (len(found), len(wanted))
        await asyncio.sleep(0.05)
    return time.monotonic() - began


EFFECTS = "select message from trial.effects"
UNPUBLISHED = "select id::text from trial.outbox where published_at is null"


async def test_what_was_lost_on_the_bus_is_said_again(database: Database, bus_url: str) -> None:
    """Handled, waiting on the bus, said into the void: each takes effect once, though nobody does anything."""
    async with speaking(database, bus_url) as bus:
        await laid_out(bus_url)
        async with handling(database, bus):
            handled = await write(database, 5)
            await until_all(database, EFFECTS, handled)
        waiting = await write(database, 5)
        await until_all(database, UNPUBLISHED, set())
        await delete_everything(bus_url)
        void = await write(database, 5)
        await asyncio.sleep(1)
        await apply_topology(bus_url, TRIAL)
        async with handling(database, bus):
            took = await until_all(database, EFFECTS, handled | waiting | void)
            print(f"{bus_url.partition(':')[0]}: all effects {took:.1f} s after the bus was made anew")
            await asyncio.sleep(2)
            await until_all(database, EFFECTS, handled | waiting | void, 0)


async def test_a_service_that_was_down_hears_it_when_it_starts(database: Database, bus_url: str) -> None:
    """The word waits on the bus; a whole platform may have been down when its bus was lost."""
    async with speaking(database, bus_url):
        await laid_out(bus_url)
        waiting = await write(database, 3)
        await until_all(database, UNPUBLISHED, set())
    await delete_everything(bus_url)
    await apply_topology(bus_url, TRIAL)
    async with speaking(database, bus_url) as bus, handling(database, bus):
        await until_all(database, EFFECTS, waiting)


async def test_a_bus_that_lost_nothing_is_left_in_peace(database: Database, bus_url: str) -> None:
    """Applied again where all is there, the topology makes nobody repeat anything."""
    async with speaking(database, bus_url) as bus:
        await laid_out(bus_url)
        heard: list[bytes] = []

        async def listener(body: bytes) -> None:
            heard.append(body)

        await bus.listen(KEY_CREATED, listener)
        await write(database, 2)
        assert await apply_topology(bus_url, TRIAL) == []
        await asyncio.sleep(replay.SETTLE_SECONDS + 1)
        assert len(heard) == 2


async def test_pages_are_followed_to_the_horizon(database: Database) -> None:
    """The newest first; what is unpublished is the relay's; what is older than a day before the last is let rest."""
    bus: Any = MemoryBus()
    relay = Relay(database, bus, "trial")
    await relay.start()
    await write(database, 2 * replay.BATCH + 3)
    await until_all(database, UNPUBLISHED, set())
    await relay.stop()
    order = "select message_id from trial.outbox where day >= current_date - 1 and published_at is not null"
    async with database.reading() as connection:
        for change, end in (("day = day - 2", ""), ("published_at = null", "desc")):
            one = f"select id from trial.outbox order by id {end} limit 1"
            await connection.execute(text(f"update trial.outbox set {change} where id = ({one})"))
    wanted = await column(database, f"{order} order by id desc")
    bus.sent.clear()
    again = Replay(database, bus, "trial")
    assert await again.publish_again(await again.newest()) == len(wanted) == 2 * replay.BATCH + 1
    assert bus.sent == wanted


async def test_what_is_said_on_the_new_bus_is_not_said_again(database: Database) -> None:
    """What is written once the word was heard can't be lost with the old bus."""
    bus: Any = MemoryBus()
    relay, again = Relay(database, bus, "trial"), Replay(database, bus, "trial")
    assert await again.publish_again(await again.newest()) == 0
    await relay.start()
    lost = await write(database, 3)
    newest = await again.newest()
    await write(database, 2)
    await until_all(database, UNPUBLISHED, set())
    await relay.stop()
    assert await again.publish_again(newest) == len(lost)


async def test_a_bus_laid_out_for_a_move_makes_nobody_repeat_anything(database: Database, bus_url: str) -> None:
    """Nothing was lost: the job that makes everything is told to say nothing."""
    assert await apply_topology(bus_url, TRIAL, tell=False)
    state = await make_inspector(bus_url).look(TRIAL)
    assert {lane.waiting for lane in state.lanes.values()} == {0}
    assert await apply_topology(bus_url, TRIAL) == []
    assert {lane.waiting for lane in (await make_inspector(bus_url).look(TRIAL)).lanes.values()} == {0}


async def test_what_nobody_consumes_is_not_repeated(database: Database) -> None:
    """It had nobody to miss it."""
    bus: Any = MemoryBus()
    relay = Relay(database, bus, "trial")
    await relay.start()
    async with database.transaction() as tx:
        tx.publish(KeyRevoked(key_id=uuid7(), tenant=uuid7(), version=1))
    await until_all(database, UNPUBLISHED, set())
    await relay.stop()
    again = Replay(database, bus, "trial")
    assert await again.publish_again(await again.newest()) == 0
