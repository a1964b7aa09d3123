"""Two api processes and one of inference on each bus, and what they leave behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.races.track import Track
from tests.support.databases import Databases
from tests.support.replicas import Replicas, replicas_on


@pytest.fixture
async def replicas(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """On each bus."""
    async with replicas_on(platform_databases, bus_url, tmp_path) as replicas:
        yield replicas


@pytest.fixture
def track(platform_databases: Databases, tmp_path: Path) -> Track:
    """Of the replicas."""
    return Track(platform_databases, tmp_path)
