"""NATS as three nodes keeps every stream three times, and goes on without the one that leads."""

import asyncio
from collections.abc import Iterator

import nats
import pytest

from penstock_common.errors import PenstockError
from penstock_common.messaging.connect import apply_topology, diff_topology
from tests.support.nats_cluster import NODES, NatsCluster

pytestmark = pytest.mark.chaos


@pytest.fixture
def cluster() -> Iterator[NatsCluster]:
    """Three nodes that agree."""
    made = NatsCluster()
    try:
        yield made.start()
    finally:
        made.dispose()


async def test_a_dead_leader_costs_nothing_that_was_kept(cluster: NatsCluster) -> None:
    """What the topology declares is there, on all nodes, whoever is asked."""
    made = await apply_topology(cluster.url)
    assert made
    client = await nats.connect(cluster.url)
    streams = await client.jetstream().streams_info()
    await client.close()
    assert {stream.config.num_replicas for stream in streams} == {NODES}
    await asyncio.to_thread(cluster.kill_leader)
    (alive, *_) = [node.url for node in cluster.nodes if node.alive]
    assert sum(node.alive for node in cluster.nodes) == NODES - 1
    async with asyncio.timeout(30):
        while await _lacks(alive):
            await asyncio.sleep(0.2)
    await asyncio.to_thread(cluster.start)
    assert all(node.alive for node in cluster.nodes)


async def _lacks(url: str) -> bool:
    """Whether anything is missing, or nobody leads yet."""
    try:
        return bool(await diff_topology(url))
    except PenstockError:
        return True
