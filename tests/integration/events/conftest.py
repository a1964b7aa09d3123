"""A platform's database with rows in its outboxes, and the role that only reads."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.databases import Databases


@pytest.fixture
async def writing(platform_databases: Databases) -> AsyncIterator[asyncpg.Connection]:
    """Writes as superuser."""
    connection = await asyncpg.connect(platform_databases.admin)
    yield connection
    await connection.close()


@pytest.fixture
async def auditing(platform_databases: Databases) -> AsyncIterator[asyncpg.Connection]:
    """Reads as the role of audit."""
    connection = await asyncpg.connect(platform_databases.audit)
    yield connection
    await connection.close()
