"""A schema of one's own on the real database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from penstock_common.db.tables import messaging_tables_v1
from penstock_common.db.transaction import Database
from penstock_common.topology import PLATFORM

EFFECTS = "create table trial.effects (message text)"


@pytest.fixture
async def trial_url(postgres_database: str) -> str:
    """A database with outbox, inbox, and a table for effects."""
    connection = await asyncpg.connect(postgres_database)
    for statement in ("create schema trial", *messaging_tables_v1("trial"), EFFECTS):
        await connection.execute(statement)
    await connection.close()
    return postgres_database


@pytest.fixture
async def database(trial_url: str) -> AsyncIterator[Database]:
    """One process's way to it."""
    database = Database(trial_url, "trial", PLATFORM)
    yield database
    await database.close()
