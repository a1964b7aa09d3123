"""The outbox and inbox tables that every service owns a pair of. Frozen: a later shape is a later function."""

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PARTITIONED = ("outbox", "inbox")
DAYS_AHEAD = 7


def messaging_tables_v1(schema: str) -> list[str]:
    """Statements that make `outbox` and `inbox`, partitioned by the UTC day of the message id's own time."""
    return [
        f"""create table {schema}.outbox (
            day date not null,
            id uuid not null,
            subject text not null,
            stream text not null,
            message_id text not null,
            headers jsonb not null,
            body bytea not null,
            created_at timestamptz not null default now(),
            retry_at timestamptz not null default '-infinity',
            published_at timestamptz,
            primary key (day, id)
        ) partition by range (day)""",
        f"create index outbox_unpublished on {schema}.outbox (id) where published_at is null",
        f"create table {schema}.outbox_default partition of {schema}.outbox default",
        f"""create table {schema}.inbox (
            day date not null,
            consumer text not null,
            message_id text not null,
            fingerprint text not null,
            handled_at timestamptz not null default now(),
            primary key (day, consumer, message_id)
        ) partition by range (day)""",
        f"create table {schema}.inbox_default partition of {schema}.inbox default",
    ]


async def ensure_partitions(connection: AsyncConnection, schema: str, today: date) -> None:
    """Make the day partitions from yesterday to a week ahead; what lies outside goes to the default one.

    A day of which the default partition holds rows already stays there.
    """
    for offset in range(-1, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        for table in PARTITIONED:
            name = f"{table}_{day:%Y%m%d}"
            missing = f"""
                select to_regclass(:name) is null
                and not exists (select from {schema}.{table}_default where day = :day)
            """
            if await connection.scalar(text(missing), {"name": f"{schema}.{name}", "day": day}):
                await connection.execute(
                    text(
                        f"create table if not exists {schema}.{name} partition of {schema}.{table} "
                        f"for values from ('{day}') to ('{day + timedelta(days=1)}')"
                    )
                )
