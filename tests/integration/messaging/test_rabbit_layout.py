"""What is laid out on a RabbitMQ that answers late, or has lost a part."""

import random

import aiormq
import pytest

from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.rabbit.declared import declared
from penstock_common.messaging.rabbit.topology import RabbitTopology
from penstock_common.messaging.rabbit.wire import EVENTS
from tests.chaos.proxy import Cable, ports_of, through
from tests.integration.messaging.shop import REFUND, SHOP, Refund
from tests.integration.messaging.test_rabbit_limits import connected

pytestmark = pytest.mark.integration

WHOLE = 6.5  # seconds that a look at everything takes then, one question after the other


async def test_the_topology_is_looked_at_to_the_end_however_slow_the_server_is(rabbitmq_url: str) -> None:
    """Each question has its own time: what is missing would else be made anew only once the server is quick again."""
    await apply_topology(rabbitmq_url, SHOP)
    cable = Cable(ports_of([rabbitmq_url]), None, random.Random(0))
    async with cable.laid(), RabbitTopology(through(rabbitmq_url, cable.port)).looking(SHOP) as look:
        cable.weather.late = WHOLE / len(list(declared(SHOP))) / 2
        assert not await look.lacks()


async def test_an_exchange_that_is_gone_is_made_anew_with_its_bindings(rabbitmq_url: str) -> None:
    """Its queues are there, and bound to nothing until they are declared again."""
    await apply_topology(rabbitmq_url, SHOP)
    async with aiormq.connect(rabbitmq_url) as connection:
        await (await connection.channel()).exchange_delete(EVENTS)
    assert f"create exchange {EVENTS}" in await apply_topology(rabbitmq_url, SHOP, tell=False)
    async with connected(rabbitmq_url) as bus:
        await bus.publish(envelop(Refund(id="r"), REFUND))
