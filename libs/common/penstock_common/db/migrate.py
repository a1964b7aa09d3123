"""Schema migrations: Alembic underneath, one history a service."""

import asyncio
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from penstock_common.db.engine import translated, with_driver

LOCK = 0x50454E53  # advisory lock of whoever migrates


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
