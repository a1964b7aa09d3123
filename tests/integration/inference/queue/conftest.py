"""A platform of one process a service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.queueing import Platform, platform_on


@pytest.fixture
async def platform(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """On each bus, with one turn at a time."""
    async with platform_on(platform_databases, bus_url, tmp_path, slots=1, tenant=6, total=8) as platform:
        yield platform
