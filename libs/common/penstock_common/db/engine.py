"""How a service reaches its database, and what its errors mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from penstock_common.errors import DatabaseUnavailable

CONNECT_SECONDS = 2.0
GUARDS = {
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    # a frozen process must not hold rows
    "idle_in_transaction_session_timeout": "3000",
}
# Classes 08 (connection), 53 (disk, memory or connections used up), 57P (shutting down); statements cut short by a
# time-out; a row that somebody holds for too long; a transaction ended for idling; a server that takes no writes.
GONE = ("08", "53", "57P", "57014", "55P03", "25P03", "25006")


def make_engine(url: str, *, name: str, pool_size: int = 5) -> AsyncEngine:
    """An engine for `postgresql://` URLs. Waits for a connection are bounded; sessions carry time-outs."""
    return create_async_engine(
        with_driver(url),
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        pool_timeout=CONNECT_SECONDS,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": 10.0,
            "server_settings": {**GUARDS, "application_name": name},
        },
    )


def with_driver(url: str) -> str:
    """A `postgresql://` URL as SQLAlchemy wants it for asyncpg."""
    scheme, separator, rest = url.partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres") or not separator:
        raise ValueError("a database URL begins with postgresql://")
    return f"postgresql+asyncpg://{rest}"


def is_unavailable(error: BaseException) -> bool:
    """True where the database could not be reached, or ended the connection."""
    if isinstance(error, PoolTimeout | OSError | asyncio.TimeoutError | InterfaceError | asyncpg.InterfaceError):
        return True
    state = state_of(error)
    if state.startswith(GONE):
        return True
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or (isinstance(error, OperationalError) and not state)


def state_of(error: BaseException | None) -> str:
    """PostgreSQL's five characters for what went wrong, from the driver or through SQLAlchemy; empty where none."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise DatabaseUnavailable in place of what the driver raises when the database is away."""
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            reason = str(error) or type(error).__name__
            raise DatabaseUnavailable(reason.splitlines()[0][:200]) from error
        raise


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's own connection; where the server ended it while nobody used it, another one of the pool."""
    while True:
        driver: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
        if not driver.is_closed():
            return driver
        await connection.invalidate()
