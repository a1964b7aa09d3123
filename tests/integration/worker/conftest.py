"""A worker process, a tool to call, and somebody who commands."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock_common.messaging.connect import apply_topology
from penstock_worker.app import App
from tests.support.databases import Databases
from tests.support.tools import Tool, http_tool
from tests.support.working import Commander, commander, worker_process


@pytest.fixture
def worker_url(platform_databases: Databases) -> str:
    """The database as worker's own role enters it."""
    return platform_databases.services["worker"]


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """Shared by all processes of a test."""
    return tmp_path / "keyring"


@pytest.fixture
def tool() -> Iterator[Tool]:
    """An HTTP tool."""
    with http_tool() as running:
        yield running


@pytest.fixture
async def boss(nats_url: str, keyring: Path) -> AsyncIterator[Commander]:
    """Commands over a bus that has the platform's topology."""
    await apply_topology(nats_url)
    async with commander(nats_url, keyring) as connected:
        yield connected


@pytest.fixture
async def worker(boss: Commander, worker_url: str, nats_url: str, keyring: Path) -> AsyncIterator[App]:
    """A running worker process."""
    async with worker_process(worker_url, nats_url, keyring) as app:
        yield app
