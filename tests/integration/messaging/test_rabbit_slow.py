"""A RabbitMQ that answers late, as on a machine that has too much to do."""

import random

import pytest

from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.rabbit.declared import declared
from penstock_common.messaging.rabbit.topology import RabbitTopology
from tests.chaos.proxy import Cable, ports_of, through
from tests.integration.messaging.shop import SHOP

pytestmark = pytest.mark.integration

WHOLE = 6.5  # seconds that a look at everything takes then, one question after the other


async def test_the_topology_is_looked_at_to_the_end_however_slow_the_server_is(rabbitmq_url: str) -> None:
    """Each question has its own time: what is missing would else be made anew only once the server is quick again."""
    await apply_topology(rabbitmq_url, SHOP)
    cable = Cable(ports_of([rabbitmq_url]), None, random.Random(0))
    async with cable.laid(), RabbitTopology(through(rabbitmq_url, cable.port)).looking(SHOP) as look:
        cable.weather.late = WHOLE / len(list(declared(SHOP))) / 2
        assert not await look.lacks()
