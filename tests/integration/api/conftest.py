"""An api process to talk to."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from penstock_api.app import App, build
from penstock_common.messaging.connect import apply_topology
from penstock_common.service import begin
from tests.support.api import USER, bearer, client_of, settings
from tests.support.chat import Chat, chat_process
from tests.support.databases import Databases


@pytest.fixture
async def chat(platform_databases: Databases, nats_url: str, tmp_path: Path) -> AsyncIterator[Chat]:
    """One process on real servers."""
    async with chat_process(platform_databases, nats_url, tmp_path / "keyring") as chat:
        yield chat


@pytest.fixture
async def chat_on_both(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Chat]:
    """One process on each bus."""
    async with chat_process(platform_databases, bus_url, tmp_path / "keyring") as chat:
        yield chat


@pytest.fixture
async def process(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[App]:
    """One api process, on each bus."""
    await apply_topology(bus_url)
    app = build(settings(platform_databases.services["api"], bus_url, tmp_path / "keyring"))
    await begin(app)
    yield app
    await app.stop()


@pytest.fixture
def key() -> str:
    """The user's, unless a module says otherwise."""
    return USER


@pytest.fixture
async def client(process: App, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key, of this process."""
    async with client_of(process) as connected:
        connected.headers.update(bearer(key))
        yield connected
