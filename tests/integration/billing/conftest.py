"""Billing on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from penstock_common.db.migrate import upgrade
from tests.support.billing import Billing, billing_process


@pytest.fixture
async def billing_url(postgres_database: str) -> str:
    """A database that has billing's schema alone."""
    await upgrade("billing", postgres_database)
    return postgres_database


@pytest.fixture
async def billing(billing_url: str) -> AsyncIterator[Billing]:
    """A billing process that knows a price."""
    async with billing_process(billing_url) as process:
        yield process
