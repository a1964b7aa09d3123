"""Database and bus made ready for the services, in a short-lived process: what it imports is freed with it.

Run as `python -m penstock.platform.prepare` with `Addresses` as JSON on standard input.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from penstock.platform.credentials import SERVICES
from penstock.platform.database import role_statements, schema_statements
from penstock.platform.postgres import DATABASE
from penstock.platform.servers import Addresses
from penstock_common.db.heads import code_head, current_heads
from penstock_common.errors import BusUnavailable, DatabaseUnavailable, PenstockError

PATIENCE = 30.0  # seconds
PAUSE = 0.05  # seconds
T = TypeVar("T")
AWAY = (OSError, asyncpg.CannotConnectNowError, BusUnavailable, DatabaseUnavailable)


async def prepare(addresses: Addresses) -> None:
    """Roles, schemas, topology; idempotent. Raises PenstockError with what to do."""
    await asyncio.gather(_prepare_database(addresses), _patiently(lambda: _apply_topology(addresses.bus)))


async def _prepare_database(addresses: Addresses) -> None:
    if addresses.passwords and (maintenance := addresses.maintenance):
        await _patiently(lambda: _ensure_database(maintenance))
        await _execute(addresses.database, [*role_statements(addresses.passwords), *schema_statements(DATABASE)])
    heads = await _patiently(lambda: current_heads(addresses.database, SERVICES))
    # Where the database is ahead, older code runs on the newer schema.
    for service in (each for each in SERVICES if heads.get(each, "") < code_head(each)):
        from penstock_common.db.migrate import upgrade  # noqa: PLC0415 (half a second that most starts don't need)

        await upgrade(service, addresses.databases[service])


async def _ensure_database(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()


async def _execute(url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        async with connection.transaction():
            await connection.execute(";".join(statements))
    finally:
        await connection.close()


async def _apply_topology(url: str) -> None:
    from penstock_common.messaging.connect import apply_topology  # noqa: PLC0415 (loads both bus clients)

    await apply_topology(url)


async def _patiently(step: Callable[[], Awaitable[T]]) -> T:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await step()
        except AWAY:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE)


def main() -> None:
    """Read the addresses, prepare what is there; exit code 1 and one line on standard error where it can't be done."""
    addresses = Addresses(**json.load(sys.stdin))
    try:
        asyncio.run(prepare(addresses))
    except PenstockError as error:
        meaning = (type(error).__doc__ or "").splitlines()[0]
        sys.exit(f"{meaning} ({error})")
    except (OSError, asyncpg.PostgresError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
