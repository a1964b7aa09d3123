"""An api process to talk to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
