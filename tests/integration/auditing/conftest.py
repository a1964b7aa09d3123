"""A platform's records, and a bus laid out as the platform declares it."""

from collections.abc import AsyncIterator

import pytest

from penstock_common.messaging.connect import apply_topology
from tests.support.audited import Audited, audited
from tests.support.databases import Databases


@pytest.fixture
async def world(platform_databases: Databases, nats_url: str) -> AsyncIterator[Audited]:
    """On NATS, whose lanes are made in a moment."""
    await apply_topology(nats_url)
    async with audited(platform_databases, nats_url) as made:
        yield made


@pytest.fixture
async def on_both(platform_databases: Databases, bus_url: str) -> AsyncIterator[Audited]:
    """On each bus."""
    await apply_topology(bus_url)
    async with audited(platform_databases, bus_url) as made:
        yield made
