"""Billing on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.support.billing import Billing, billing_process
from tests.support.databases import Databases


@pytest.fixture
def billing_url(platform_databases: Databases) -> str:
    """The database as billing's own role enters it."""
    return platform_databases.services["billing"]


@pytest.fixture
async def billing(billing_url: str) -> AsyncIterator[Billing]:
    """A billing process that knows a price."""
    async with billing_process(billing_url) as process:
        yield process
