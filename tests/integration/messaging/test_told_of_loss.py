"""The topology job tells what was lost, also where an earlier one died before it could."""

import asyncio
import json
import os
import sys
from pathlib import Path

import aiormq
import nats
import pytest
from nats.js.api import StreamConfig

from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.errors import BusUnavailable
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.nats.declared import declared
from penstock_common.messaging.rabbit.topology import UNTOLD
from penstock_common.topology import CATALOGUE_CHANGED, COMMANDS, PLATFORM, UPKEEP
from tests.support.emptied import delete_everything

pytestmark = pytest.mark.integration

PENSTOCK = Path(sys.executable).parent / "penstock"
WAITING = PLATFORM.upkeep["billing"].name


async def told(url: str) -> int:
    """How often the services were told, none of them having listened."""
    if url.startswith("nats"):
        client = await nats.connect(url)
        messages = (await client.jetstream().stream_info(UPKEEP.name)).state.messages
        await client.close()
        return messages
    async with aiormq.connect(url) as connection:
        channel = await connection.channel()
        return (await channel.queue_declare(WAITING, passive=True)).message_count or 0


async def test_the_services_are_told_of_each_loss(bus_url: str) -> None:
    """Once each; a job that finds everything says nothing."""
    await apply_topology(bus_url)
    assert await told(bus_url) == 1
    assert await apply_topology(bus_url) == []
    assert await told(bus_url) == 1
    await delete_everything(bus_url)
    assert await apply_topology(bus_url)
    assert await told(bus_url) == 1


async def test_one_lost_stream_is_told(nats_url: str) -> None:
    """What the others hold is said again too; a lost consumer alone gets all that its stream has."""
    await apply_topology(nats_url)
    client = await nats.connect(nats_url)
    await client.jetstream().delete_consumer(COMMANDS.name, "worker-cancel-run")
    await apply_topology(nats_url)
    assert await told(nats_url) == 1
    await client.jetstream().delete_stream(COMMANDS.name)
    await apply_topology(nats_url)
    assert await told(nats_url) == 2
    await client.close()


async def test_nats_is_told_before_the_rest_is_made(nats_url: str) -> None:
    """A job that died after its word left streams missing, so that the next one tells again."""
    first = declared(PLATFORM, 1)[0]
    client = await nats.connect(nats_url)
    await client.jetstream().add_stream(StreamConfig(name=UPKEEP.name, **first.settings))
    await client.close()
    await apply_topology(nats_url)
    assert (first.stream, await told(nats_url)) == (UPKEEP.name, 1)


async def test_rabbitmq_keeps_what_is_untold(rabbitmq_url: str) -> None:
    """A job that died when all queues were there left its mark, and the next one tells."""
    await apply_topology(rabbitmq_url)
    async with aiormq.connect(rabbitmq_url) as connection:
        await UNTOLD.declare(await connection.channel())
    for _ in range(2):
        assert await apply_topology(rabbitmq_url) == []
        assert await told(rabbitmq_url) == 2


async def test_the_command_stays_and_lays_out_again(bus_url: str) -> None:
    """`penstock topology apply --watch`, as compose and systemd run it: a line for each time."""
    command = [str(PENSTOCK), "topology", "apply", "--bus", bus_url, "--watch", "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=os.environ)
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            first = json.loads(await process.stdout.readline())["changes"]
            await delete_everything(bus_url)
            again = json.loads(await process.stdout.readline())["changes"]
    finally:
        process.terminate()
        await process.wait()
    assert f"consumer {WAITING}" in " ".join(again) or f"queue {WAITING}" in " ".join(again)
    assert set(again) <= set(first)
    assert await told(bus_url) == 1


async def test_an_event_with_consumers_is_not_said_into_the_void(bus_url: str) -> None:
    """Without the queue or stream that it needs it is refused, and its outbox keeps it."""
    await apply_topology(bus_url)
    bus, message = (
        await connect_bus(bus_url, "test"),
        envelop(CatalogueChanged(version=1, models=[]), CATALOGUE_CHANGED),
    )
    await bus.publish(message)
    await delete_everything(bus_url)
    with pytest.raises(BusUnavailable, match="penstock topology apply"):
        await bus.publish(message)
    await apply_topology(bus_url)
    await bus.publish(message)
    await bus.close()
