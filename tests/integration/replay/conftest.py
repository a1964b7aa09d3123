"""A platform for each test, on each bus."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.messaging.connect import apply_topology
from tests.integration.replay.stage import PART, Stage, staged
from tests.support.databases import Databases


@pytest.fixture
async def stage(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """Databases, a bus, and billing with its price."""
    await apply_topology(bus_url, PART)
    async with staged(platform_databases, bus_url, tmp_path) as made:
        yield made
