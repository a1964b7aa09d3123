"""Requests that ended, of which some were charged when the bus was lost, and what the books must say of them all."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.db.relay import Relay
from penstock_common.db.replay import Replay
from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology, connect_bus, make_inspector
from penstock_common.topology import PLATFORM
from tests.integration.crash_points.crews import STAGE, Books
from tests.support.billing import PRICE, a_completion, billing_process, id_of
from tests.support.databases import Databases

COUNT = 60
LANE = "billing-on-generation-completed"
CHARGED = """
select request_id, sum(amount_nano)::bigint as amount, count(*)
from billing.entries join billing.postings on id = entry_id where account like 'customer:%' group by 1
"""
STANDSTILL = 2.0  # seconds without a charge, after which nothing more is expected
LONGEST = 30.0  # seconds


def the_requests() -> dict[UUID, GenerationCompleted]:
    """Each with other tokens, so that no charge can pass for another one's."""
    events = [a_completion(prompt=40 + n, completion=n) for n in range(COUNT)]
    return {event.request_id: event for event in events}


def price_of(event: GenerationCompleted) -> int:
    """What its customer owes, in nano units."""
    return event.tokens.prompt * PRICE.input_nano + event.tokens.completion * PRICE.output_nano


async def say(url: str, bus_url: str, events: Sequence[GenerationCompleted]) -> None:
    """Commit ends as inference does, and have them published."""
    database, bus = Database(url, "inference", PLATFORM), await connect_bus(bus_url, "inference")
    relay = Relay(database, bus, "inference")
    await relay.start()
    async with database.transaction() as tx:
        for event in events:
            tx.publish(event, message_id=id_of(event))
    await relay.stop()
    await bus.close()
    await database.close()


@asynccontextmanager
async def charging(databases: Databases, bus_url: str) -> AsyncIterator[None]:
    """A billing process at work."""
    books = Books(bus_url, databases.services["billing"])
    await books.start()
    yield
    await books.stop()


async def charges(databases: Databases) -> dict[UUID, int]:
    """What each request was charged, in nano units; each was at most once."""
    connection = await asyncpg.connect(databases.admin)
    rows = await connection.fetch(CHARGED)
    await connection.close()
    assert {row["count"] for row in rows} <= {1}
    return {row["request_id"]: row["amount"] for row in rows}


async def stood_still(databases: Databases, enough: int = COUNT) -> dict[UUID, int]:
    """What was charged, once so many are or nothing more comes."""
    found, since, began = await charges(databases), time.monotonic(), time.monotonic()
    while len(found) < enough and time.monotonic() - since < STANDSTILL and time.monotonic() - began < LONGEST:
        await asyncio.sleep(0.1)
        if len(now := await charges(databases)) > len(found):
            found, since = now, time.monotonic()
    return found


async def prepared(databases: Databases, bus_url: str) -> dict[UUID, GenerationCompleted]:
    """Half of the requests are charged, the other half waits on the bus."""
    requests = the_requests()
    events = list(requests.values())
    await apply_topology(bus_url, STAGE)
    async with billing_process(databases.services["billing"]) as billing:  # knows the price from now on
        assert not billing.settler.retried
    await say(databases.services["inference"], bus_url, events[: COUNT // 2])
    async with charging(databases, bus_url):
        assert len(await stood_still(databases, COUNT // 2)) == COUNT // 2
    await say(databases.services["inference"], bus_url, events[COUNT // 2 :])
    lane = (await make_inspector(bus_url).look(STAGE)).lanes[LANE]
    assert lane.waiting == COUNT // 2
    return requests


async def said_again(databases: Databases, bus_url: str) -> None:
    """Inference says all again, as where it hears that the bus was rebuilt; returns once that is charged."""
    database, bus = Database(databases.services["inference"], "inference", PLATFORM), await connect_bus(bus_url, "test")
    replay = Replay(database, bus, "inference")
    assert await replay.publish_again(await replay.newest()) == COUNT
    await bus.close()
    await database.close()
    async with charging(databases, bus_url):
        await stood_still(databases)
