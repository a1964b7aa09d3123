"""Schema migrations: Alembic underneath, one history a service, one query to see where a database stands."""

import asyncio
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from penstock_common.db.engine import translated, with_driver
from penstock_common.errors import SchemaMissing

LOCK = 0x50454E53  # advisory lock of whoever migrates


def code_head(service: str) -> str:
    """The newest revision in the code: revisions are the numbers that their file names begin with."""
    versions = files(f"penstock_{service}.migrations").joinpath("versions")
    return max(entry.name[:4] for entry in versions.iterdir() if entry.name[:4].isdigit())


async def current_heads(url: str, services: tuple[str, ...]) -> dict[str, str]:
    """Service → applied revision; a service never migrated is left out."""
    engine = create_async_engine(with_driver(url))
    try:
        async with translated(), engine.connect() as connection:
            tables = "select table_schema from information_schema.tables where table_name = 'alembic_version'"
            known = [s for s in await connection.scalars(text(tables)) if s in services]
            if not known:
                return {}
            union = " union all ".join(f"select '{s}' as service, version_num from {s}.alembic_version" for s in known)
            return {row.service: row.version_num for row in await connection.execute(text(union))}
    finally:
        await engine.dispose()


async def require_schema(url: str, service: str) -> None:
    """Raise SchemaMissing where a service's schema was never migrated, DatabaseUnavailable where it can't be asked."""
    if service not in await current_heads(url, (service,)):
        raise SchemaMissing


async def upgrade(service: str, url: str) -> None:
    """Bring a service's schema to the code's head; two that try at once take turns."""
    await asyncio.to_thread(_upgrade, service, url)


def _upgrade(service: str, url: str) -> None:
    from alembic import command  # noqa: PLC0415 (a quarter of a second that most starts don't need)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(str(files(f"penstock_{service}.migrations")))))
    config.attributes["url"], config.attributes["service"] = url, service
    command.upgrade(config, "head")


def run_environment() -> None:
    """What each service's `migrations/env.py` calls."""
    from alembic import context  # noqa: PLC0415

    attributes = context.config.attributes
    asyncio.run(_migrate(attributes["url"], attributes["service"], context))


async def _migrate(url: str, service: str, context: Any) -> None:
    engine = create_async_engine(with_driver(url), connect_args={"server_settings": {"lock_timeout": "5000"}})
    try:
        async with translated(), engine.connect() as connection:
            await connection.run_sync(_run, service, context)
    finally:
        await engine.dispose()


def _run(connection: Connection, service: str, context: Any) -> None:
    connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
    # PostgreSQL asks for the right to create schemas before it sees that this one exists.
    if connection.scalar(text("select to_regnamespace(:schema)"), {"schema": service}) is None:
        connection.execute(text(f"create schema {service}"))
    connection.commit()
    context.configure(connection=connection, version_table_schema=service, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()
