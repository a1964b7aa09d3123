"""Where events are read: the outboxes of all services, through a role that may only read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import asyncpg

from penstock.platform.errors import NotRunning, PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import running
from penstock_common.errors import Fault

CONNECT_SECONDS = 10.0
SESSION = {
    "application_name": "penstock-events",
    "statement_timeout": "600000",  # what has no index is read through
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "on",
}


class CannotRead(PlatformError):
    """The events can't be read."""

    code = "cli.events_unreadable"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 2


def database_of(data: Path | None, database: str | None) -> str:
    """The given database, else that of the running platform, for a role that reads all. Raises CannotRead."""
    if database:
        return database
    try:
        return running(DataFolder.at(data)).audit_database
    except NotRunning as error:
        raise CannotRead(f"{error.message} Or name the database: --database postgresql://…") from error


def bus_of(data: Path | None, bus: str | None) -> str:
    """The given bus, else that of the running platform. Raises CannotRead."""
    if bus:
        return bus
    try:
        return running(DataFolder.at(data)).bus
    except NotRunning as error:
        raise CannotRead(f"{error.message} Or name the bus: --bus nats://…") from error


@asynccontextmanager
async def reading(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that can't write. Raises CannotRead, also for what goes wrong while it is used."""
    try:
        connection = await asyncpg.connect(database, timeout=CONNECT_SECONDS, server_settings=SESSION)
        try:
            yield connection
        finally:
            await connection.close(timeout=1)
    except BrokenPipeError:  # of standard output: whoever reads it has enough
        raise
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError) as error:
        raise CannotRead(f"The database is not as this version knows it ({error}); run: penstock migrate") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise CannotRead(f"This role may not read the services' tables ({error}); use that of audit.") from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error) or type(error).__name__
        raise CannotRead(f"The database can't be read: {reason.splitlines()[0][:200]}") from error
