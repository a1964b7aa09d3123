"""Schedulers on a database of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.scheduling import Scheduler, scheduler_process


@pytest.fixture
def scheduler_url(platform_databases: Databases) -> str:
    """The database as the scheduler's own role enters it."""
    return platform_databases.services["scheduler"]


@pytest.fixture
async def scheduler(scheduler_url: str, tmp_path: Path) -> AsyncIterator[Scheduler]:
    """A process without a bus, whose clock stands at noon."""
    async with scheduler_process(scheduler_url, tmp_path / "keyring") as process:
        yield process


@pytest.fixture(params=["nats_url", "rabbitmq_url"])
def bus_url(request: pytest.FixtureRequest) -> str:
    """Each bus, empty."""
    url: str = request.getfixturevalue(request.param)
    return url
