"""A projection's table made anew from events, in a temporary table of one session: nothing of it outlives that."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import sqlalchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from penstock.platform.errors import PlatformError
from penstock.replay.source import Source
from penstock_common.contracts.base import Contract, Wire, decode
from penstock_common.db.engine import with_driver
from penstock_common.errors import Fault
from penstock_common.events.event import StoredEvent
from penstock_common.ids import time_of, uuid7
from penstock_common.messaging.envelope import CONTENT_TYPE
from penstock_common.projection import Projection

BESIDE = "pg_temp"
BATCH = 256  # events
LATE = timedelta(minutes=10)
"""How much later than its id says an event may have been committed: transactions end within seconds."""
SESSION = {
    "application_name": "penstock-projecting",
    "statement_timeout": "600000",
    "idle_in_transaction_session_timeout": "60000",
    "lock_timeout": "10000",
}


class CannotProject(PlatformError):
    """The projection can't be made anew."""

    code = "cli.projection_failed"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 2


@asynccontextmanager
async def session(url: str) -> AsyncIterator[AsyncConnection]:
    """One connection as the service's own role. Raises CannotProject, also for what goes wrong while it is used."""
    engine = create_async_engine(with_driver(url), pool_size=1, connect_args={"server_settings": SESSION})
    try:
        async with engine.connect() as connection:
            yield connection
    except (OSError, ValueError, DBAPIError) as error:
        reason = str(getattr(error, "orig", error)) or type(error).__name__
        raise CannotProject(f"The projection can't be made anew: {reason.splitlines()[0][:200]}") from error
    finally:
        await engine.dispose()


class Rebuilt:
    """The table beside the live one."""

    def __init__(self, projection: Projection, connection: AsyncConnection, source: Source) -> None:
        self.projection, self.connection, self._source = projection, connection, source
        self.events = 0
        """How many were read; those of a repeated look count again."""
        self.first: UUID | None = None
        """The oldest event's row; None where there is none."""
        self._newest: UUID | None = None

    async def make(self, earlier: Sequence[Source] = ()) -> None:
        """Make the table, and write every event into it; what is read `earlier` may overlap."""
        table = self.projection.table
        statements = [f"create temp table {table} (like {self.projection.name} including all)", self.projection.seed]
        for statement in filter(None, statements):
            await self.connection.execute(sqlalchemy.text(statement.format(schema=BESIDE)))
        await self.connection.commit()
        for source in (*earlier, self._source):
            await self._read(source)
        await self.connection.commit()

    async def catch_up(self) -> None:
        """Write what was said since, and what may have been committed late."""
        await self._read(self._source, least_id(self._newest) if self._newest else None)

    async def _read(self, source: Source, after: UUID | None = None) -> None:
        batch: list[StoredEvent] = []
        async for event in source.events(after):
            batch.append(event)
            if len(batch) == BATCH:
                await self._apply(batch)
                batch = []
        if batch:
            await self._apply(batch)

    async def _apply(self, batch: list[StoredEvent]) -> None:
        events = [opened(event, self.projection.contract) for event in batch]
        await self.projection.apply(self.connection, BESIDE, events)
        self.events += len(batch)
        self.first = min(filter(None, (self.first, batch[0].id)))
        self._newest = max(filter(None, (self._newest, batch[-1].id)))


def least_id(newest: UUID) -> UUID:
    """From where to read again, so that nothing that was committed late is missed."""
    return uuid7(max(0, int((time_of(newest) - LATE).timestamp() * 1000)))


def opened(event: StoredEvent, contract: type[Contract]) -> Contract:
    """An event's body as its contract. Raises ContractViolated."""
    return decode(contract, event.body, Wire(event.headers.get(CONTENT_TYPE, Wire.JSON.value)))
