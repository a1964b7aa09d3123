"""An api process to talk to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chat import Chat, chat_process


@pytest.fixture
async def chat(postgres_database: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Chat]:
    """One process on real servers."""
    async with chat_process(postgres_database, nats_url, tmp_path / "keyring") as chat:
        yield chat
