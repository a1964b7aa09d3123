"""Indexers on real buses and a real database, beside an embedding model that keeps count."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.db.transaction import Database
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.topology import PLATFORM
from tests.support.databases import Databases
from tests.support.fake_embeddings import fake_embeddings
from tests.support.indexing import House


@pytest.fixture(params=["nats_url", "rabbitmq_url"])
def bus_url(request: pytest.FixtureRequest) -> str:
    """Each bus, empty."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def house(bus_url: str, platform_databases: Databases, tmp_path: Path) -> AsyncIterator[House]:
    """All that indexers share, on each bus."""
    await apply_topology(bus_url)
    bus = await connect_bus(bus_url, "test")
    url = platform_databases.services["indexer"]
    database = Database(url, "indexer", PLATFORM)
    async with fake_embeddings(bus_url, tmp_path / "keyring") as embeddings:
        yield House(bus_url, url, tmp_path, bus, embeddings, database)
    await database.close()
    await bus.close()
