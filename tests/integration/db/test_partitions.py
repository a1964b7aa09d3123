"""Day partitions: made ahead, by several at once, and never in the way of a start."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from penstock_common.db.partitions import Partitions
from penstock_common.db.transaction import Database

pytestmark = pytest.mark.integration

NAMES = "select relname from pg_class where relname like 'inbox_2%' and relkind = 'r' order by 1"
TODAY = datetime.now(UTC).date()


async def execute(database: Database, statement: str, **given: Any) -> list[Any]:
    """The first column."""
    async with database.reading() as connection:
        result = await connection.execute(text(statement), given)
        return list(result.scalars()) if result.returns_rows else []


async def test_partitions_reach_from_yesterday_to_a_week_ahead(database: Database) -> None:
    """Made once, whoever else makes them at the same time."""
    await asyncio.gather(*(Partitions(database).ensure() for _ in range(4)))
    days = [TODAY + timedelta(days=n) for n in range(-1, 8)]
    assert await execute(database, NAMES) == [f"inbox_{day:%Y%m%d}" for day in days]


async def test_rows_in_the_default_partition_do_not_stop_a_start(database: Database) -> None:
    """A message id from a clock that runs ahead leaves its day to the default partition."""
    row = "insert into trial.inbox (day, consumer, message_id, fingerprint) values (:day, 'c', 'm', 'f')"
    await execute(database, row, day=TODAY + timedelta(days=2))
    partitions = Partitions(database)
    await partitions.start()
    await partitions.stop()
    names = await execute(database, NAMES)
    assert f"inbox_{TODAY + timedelta(days=2):%Y%m%d}" not in names
    assert f"inbox_{TODAY + timedelta(days=3):%Y%m%d}" in names
