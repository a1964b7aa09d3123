"""A letter leaves the bus once api has kept it and its owner was told, and not before."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats
import pytest

from penstock_api.app import App, build
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.collector import Collector
from penstock_common.messaging.connect import apply_topology, make_inspector
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.ports import Bus, Incoming, Outgoing
from penstock_common.messaging.topology import DEAD_LETTERS, Consumer
from penstock_common.service import begin
from penstock_common.topology import PLATFORM
from tests.support.api import ADMIN, bearer, client_of, settings
from tests.support.databases import Databases
from tests.support.dead_letters import LETTERS, as_letter, broken, buried, eventually, until

pytestmark = pytest.mark.integration

TOLD = PLATFORM.consumer("inference", "generate_text")
(DEAD_LANE,) = filter(None, [TOLD.dead_lane])


@pytest.fixture
async def process(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[App]:
    """One api process that was not begun yet, on each bus."""
    await apply_topology(bus_url)
    app = build(settings(platform_databases.services["api"], bus_url, tmp_path / "keyring"))
    yield app
    await app.stop()


@pytest.fixture
async def client(process: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the operator's key."""
    async with client_of(process) as connected:
        connected.headers.update(bearer(ADMIN))
        yield connected


async def on_the_bus(url: str) -> int:
    """Letters that it holds, of all consumers."""
    return sum((await make_inspector(url).look(PLATFORM)).dead_letters.values())


async def forgotten(process: App, url: str) -> bool:
    """Have the bus forget; whether nothing is left."""
    await process.collector.forget()
    return await on_the_bus(url) == 0


async def publish_letter(bus: Bus, lane: Consumer) -> None:
    """As a settler buries."""
    out = broken()
    headers = as_letter(out, lane.name)
    await bus.publish(Outgoing(lane.dead_letters, DEAD_LETTERS.name, out.message_id, headers, out.body))


async def test_what_is_kept_leaves_the_bus_and_can_be_retried(
    process: App, client: httpx.AsyncClient, bus_url: str
) -> None:
    """Every letter is shown as before; one that fails again comes the same way, and leaves as well."""
    await begin(process)
    letters = await buried(client, process.bus, *(broken(b'{"n": %d}' % n) for n in range(3)))
    await eventually(lambda: forgotten(process, bus_url))
    assert (await client.get(LETTERS)).json()["dead_letters"] == letters
    await client.post(f"{LETTERS}/{letters[0]['id']}/retry")
    again = await until(client, lambda found: any(letter["attempts"] == 2 for letter in found))
    assert len(again) == 3
    await eventually(lambda: forgotten(process, bus_url))


async def test_what_is_not_kept_stays(process: App, client: httpx.AsyncClient, bus_url: str) -> None:
    """While the database refuses it the bus is told to forget again and again, and brings it all the same."""
    keep, refused = process.collector._keep, list[DeadLetter]()

    async def refusing(letter: DeadLetter) -> None:
        if len(refused) < 3:
            refused.append(letter)
            await process.collector.forget()
            raise DatabaseUnavailable
        await keep(letter)

    process.collector = Collector(process.bus, PLATFORM, refusing)
    await begin(process)
    (letter,) = await buried(client, process.bus, broken())
    assert len(refused) == 3
    assert letter["state"] == "waiting"
    await eventually(lambda: forgotten(process, bus_url))


async def test_what_its_owner_was_not_told_stays(process: App, client: httpx.AsyncClient, bus_url: str) -> None:
    """Although it is kept: who buried a command has to tell whoever waits, as soon as his service is there again."""
    await begin(process)
    await publish_letter(process.bus, TOLD)
    await until(client, lambda found: len(found) == 1)
    for _ in range(3):
        await process.collector.forget()
    told = asyncio.Event()

    async def tell(message: Incoming) -> None:
        told.set()
        await process.bus.settler.ack(message)

    pull = await process.bus.pull(DEAD_LANE, tell)
    await asyncio.wait_for(told.wait(), 10)
    await eventually(lambda: forgotten(process, bus_url))
    await pull.stop()


@pytest.mark.parametrize("bus_url", ["nats_url"], indirect=True)
async def test_nothing_leaves_while_a_lane_is_missing(process: App, client: httpx.AsyncClient, bus_url: str) -> None:
    """A lane that is made anew finds all that it may not have seen."""
    await begin(process)
    async with await nats.connect(bus_url) as server:
        await server.jetstream().delete_consumer(DEAD_LETTERS.name, DEAD_LANE.name)
    await publish_letter(process.bus, TOLD)
    await until(client, lambda found: len(found) == 1)
    for _ in range(3):
        await process.collector.forget()
    assert await on_the_bus(bus_url) == 1
