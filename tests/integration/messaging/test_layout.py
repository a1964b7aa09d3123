"""The topology job is the only one that lays out the bus."""

from dataclasses import replace

import pytest

from penstock_common.errors import TopologyRefused
from penstock_common.messaging.connect import apply_topology, diff_topology
from penstock_common.messaging.topology import Topology
from penstock_common.topology import PLATFORM
from tests.integration.messaging.rig import Rig, ended, until
from tests.integration.messaging.shop import ON_PLACED, SHOP

pytestmark = pytest.mark.integration

VARIANT = replace(SHOP, consumers=(replace(ON_PLACED, max_attempts=70), *SHOP.consumers[1:]))


@pytest.mark.parametrize("topology", [SHOP, PLATFORM], ids=["shop", "platform"])
async def test_applied_twice_nothing_is_left_to_do(rig: Rig, topology: Topology) -> None:
    """The first names what it made, the second makes nothing, and no difference remains."""
    url = rig.side.server.url
    await rig.side.wipe(SHOP)
    await rig.side.wipe(topology)
    made = await apply_topology(url, topology)
    named = "\n".join(made)
    for lane in topology.lanes:
        gathered = bool(lane.gathered) and all(place in named for place in lane.gathered)
        assert lane.name in named or gathered, lane.name
    assert await apply_topology(url, topology) == []
    assert await diff_topology(url, topology) == []
    await rig.side.wipe(topology)


async def test_a_difference_names_the_consumer(rig: Rig) -> None:
    """What apply would change is shown first, and changes nothing."""
    lines = await diff_topology(rig.side.server.url, VARIANT)
    assert any(ON_PLACED.name in line for line in lines)
    assert await diff_topology(rig.side.server.url, VARIANT) == lines
    assert await diff_topology(rig.side.server.url, SHOP) == []


async def test_services_leave_the_layout_as_it_is(rig: Rig) -> None:
    """Started on a bus laid out otherwise, a service handles messages and alters nothing."""
    await rig.side.wipe(SHOP)
    await apply_topology(rig.side.server.url, VARIANT)
    await rig.start()
    id_ = await rig.send(ON_PLACED.topic)
    await until(lambda: id_ in rig.seen("done"))
    assert await diff_topology(rig.side.server.url, VARIANT) == []


async def test_without_the_layout_a_service_says_what_to_do(rig: Rig) -> None:
    """It creates nothing itself; it ends with the name of what is missing and of the command."""
    await rig.side.remove(ON_PLACED)
    process = await rig.spawn()
    assert await ended(process, 10) == 1
    said = rig.said()
    assert ON_PLACED.name in said
    assert "penstock topology apply" in said
    assert any(ON_PLACED.name in line for line in await diff_topology(rig.side.server.url, SHOP))


async def test_what_would_lose_messages_is_refused(rig: Rig) -> None:
    """Shortening what is kept deletes; a job that runs at every deployment must not."""
    shorter = replace(SHOP, streams=(replace(SHOP.streams[0], max_age=60), *SHOP.streams[1:]))
    if await diff_topology(rig.side.server.url, shorter):
        with pytest.raises(TopologyRefused, match="SHOP"):
            await apply_topology(rig.side.server.url, shorter)
    assert await diff_topology(rig.side.server.url, SHOP) == []
