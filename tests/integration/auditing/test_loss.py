"""A bus that really loses a message: whoever lacks it is named, whoever merely is away is not."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiormq
import nats
import pytest

from penstock.auditing.judging import Rules
from penstock_common.messaging.addressing import addressed
from penstock_common.messaging.connect import connect_bus
from penstock_common.topology import CATALOGUE_CHANGED
from tests.support.audited import Audited, consumer, eventually, named, tally
from tests.support.billing import a_catalogue
from tests.support.gate import gate

pytestmark = pytest.mark.integration

BILLING, API = consumer("billing-on-catalogue-changed"), consumer("api-on-catalogue-changed")
JUST = timedelta(seconds=2)
SOON = Rules(settle=1, confirm=0.5)


async def lose(bus_url: str) -> None:
    """Take from the bus what it has for billing and confirmed."""
    if urlsplit(bus_url).scheme == "nats":
        client = await nats.connect(bus_url)
        await client.jetstream().purge_stream(CATALOGUE_CHANGED.stream)
        await client.close()
        return
    connection = await aiormq.connect(bus_url)
    channel = await connection.channel()
    await channel.queue_purge(BILLING.name)
    await connection.close()


async def test_what_a_bus_lost_is_named_and_said_again(on_both: Audited, tmp_path: Path) -> None:
    """Handled before, lost while its consumer was away, and handled once it was said again to it alone."""
    first = await on_both.say(CATALOGUE_CHANGED, message=a_catalogue(), ago=JUST)
    lost = await on_both.say(CATALOGUE_CHANGED, message=a_catalogue(version=2), ago=JUST)
    await on_both.handle(API, first, lost)

    async def billed(count: int) -> bool:
        return tally(await on_both.again(SOON), BILLING).done == count

    async with gate(["billing"], on_both.databases, on_both.bus_url, tmp_path, receive=True):
        await on_both.publish(first)
        await eventually(lambda: billed(1))
    await on_both.publish(lost)
    await eventually(lambda: waits(on_both))
    assert named(await on_both.again(SOON)) == set()
    await lose(on_both.bus_url)

    async def is_named() -> bool:
        return named(await on_both.again(SOON)) == {(BILLING.name, lost.id)}

    await eventually(is_named)
    async with gate(["billing"], on_both.databases, on_both.bus_url, tmp_path, receive=True):
        bus = await connect_bus(on_both.bus_url, "test")
        await bus.publish(addressed(lost.outgoing, BILLING, "act"))
        await bus.close()
        await eventually(lambda: billed(2))
    assert (await on_both.again(SOON)).clean


async def waits(world: Audited) -> bool:
    """Whether the bus has the message by its own count, which RabbitMQ renews now and then."""
    bus = await world.work().bus()
    return bus.lanes[BILLING.name].waiting == 1
