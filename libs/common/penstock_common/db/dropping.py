"""Drops days of outbox and inbox that nobody needs any more."""

from datetime import date

import asyncpg

from penstock_common.events.event import ASKING

NOT_ASKING = " and ".join(f"not starts_with(subject, '{prefix}')" for prefix in ASKING)
PARTITIONS = """
select right(c.relname, 8) from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = to_regclass($1) and c.relname ~ '_[0-9]{8}$'
"""
STATE = f"""
select count(*) filter (where {NOT_ASKING}) as events, count(*) filter (where published_at is null) as unpublished
from {{table}} where day = $1
"""


async def days_kept(connection: asyncpg.Connection, schema: str, table: str) -> list[date]:
    """The days of which a table has a partition, or rows in the default one, oldest first. Raises asyncpg's errors."""
    names = [row[0] for row in await connection.fetch(PARTITIONS, f"{schema}.{table}")]
    stray = await connection.fetch(f"select distinct day from {schema}.{table}_default")
    return sorted({date.fromisoformat(name) for name in names} | {row[0] for row in stray})


async def drop_outbox_day(connection: asyncpg.Connection, schema: str, day: date, archived: int) -> str:
    """Drop a day if it has exactly so many events, and all of it was published; else say why it stays.

    Nobody writes to it meanwhile. Raises asyncpg's errors.
    """
    async with connection.transaction():
        partition = await _locked(connection, schema, "outbox", day)
        state = await connection.fetchrow(STATE.format(table=partition), day)
        if refusal := refused(state["events"], state["unpublished"], archived):
            return refusal
        await _remove(connection, partition, day)
    return ""


async def drop_inbox_day(connection: asyncpg.Connection, schema: str, day: date) -> None:
    """Drop a day: what was handled then is unknown from now on. Raises asyncpg's errors."""
    async with connection.transaction():
        partition = await _locked(connection, schema, "inbox", day)
        await _remove(connection, partition, day)


async def day_refusal(connection: asyncpg.Connection, schema: str, day: date, archived: int | None) -> str:
    """Why a day of an outbox would have to stay now; `archived` is None where its archive is not closed."""
    state = await connection.fetchrow(STATE.format(table=f"{schema}.outbox"), day)
    if archived is None and state["events"]:
        return "its archive is not closed yet"
    return refused(state["events"], state["unpublished"], archived or 0)


def refused(events: int, unpublished: int, archived: int) -> str:
    """Why a day of an outbox has to stay; empty where it may go."""
    if unpublished:
        return f"{unpublished} messages of it were never published"
    if events != archived:
        return f"it has {events} events, and the archive {archived}"
    return ""


async def _locked(connection: asyncpg.Connection, schema: str, table: str, day: date) -> str:
    """The table with a day's rows, closed to writers until the transaction ends."""
    name = f"{schema}.{table}_{day:%Y%m%d}"
    partition = name if await connection.fetchval("select to_regclass($1)", name) else f"{schema}.{table}_default"
    await connection.execute(f"lock table {partition} in share row exclusive mode")
    return partition


async def _remove(connection: asyncpg.Connection, partition: str, day: date) -> None:
    if partition.endswith("_default"):
        await connection.execute(f"delete from {partition} where day = $1", day)
    else:
        await connection.execute(f"drop table {partition}")
