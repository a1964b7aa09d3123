"""Inference's records on a real PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from penstock_common.sealing import Sealer
from tests.integration.inference.records.store import Store
from tests.support.databases import Databases
from tests.support.generation_fakes import a_sealer

Open = Callable[[str], Awaitable[Store]]


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """Keys of the test's own."""
    return a_sealer(tmp_path / "keys")


@pytest.fixture
async def open_store(sealer: Sealer) -> AsyncIterator[Open]:
    """Opens the records of one more process at a URL."""
    async with AsyncExitStack() as stack:

        async def open_(url: str) -> Store:
            return await stack.enter_async_context(Store(url, sealer))

        yield open_


@pytest.fixture
async def store(platform_databases: Databases, open_store: Open) -> Store:
    """One process's records on the run's server."""
    return await open_store(platform_databases.services["inference"])
