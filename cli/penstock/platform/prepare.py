"""Database and bus made ready for the services, in a short-lived process: what it imports is freed with it.

Run as `python -m penstock.platform.prepare` with a `Task` as JSON on standard input.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import msgspec

from penstock.platform.credentials import SERVICES
from penstock.platform.database import role_statements
from penstock.platform.postgres import DATABASE
from penstock_common.db.migrate import code_head, current_heads, upgrade
from penstock_common.errors import BusUnavailable, DatabaseUnavailable, PenstockError

PATIENCE = 30.0  # seconds
PAUSE = 0.05  # seconds
T = TypeVar("T")
AWAY = (OSError, asyncpg.CannotConnectNowError, BusUnavailable, DatabaseUnavailable)


class Task(msgspec.Struct, frozen=True):
    """Where the servers are. `passwords` are given where the roles are ours to make."""

    bus: str
    database: str
    databases: dict[str, str]
    """URL by service."""
    passwords: dict[str, str] | None = None
    maintenance: str | None = None
    """URL of a database that exists before ours does."""

    def encode(self) -> bytes:
        """For the standard input of the process."""
        return msgspec.json.encode(self)


async def prepare(task: Task) -> None:
    """Roles, schemas, topology; idempotent. Raises PenstockError with what to do."""
    await asyncio.gather(_prepare_database(task), _patiently(lambda: _apply_topology(task.bus)))


async def _prepare_database(task: Task) -> None:
    if task.passwords and task.maintenance:
        await _patiently(lambda: _ensure_database(str(task.maintenance)))
        await _execute(task.database, list(role_statements(task.passwords)))
    heads = await _patiently(lambda: current_heads(task.database, SERVICES))
    for service in SERVICES:
        if heads.get(service) != code_head(service):
            await upgrade(service, task.databases[service])


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
    """Read the task, do it; exit code 1 and one line on standard error where it can't be done."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        asyncio.run(prepare(task))
    except (PenstockError, OSError, asyncpg.PostgresError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
