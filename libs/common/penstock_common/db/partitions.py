"""Keeps the day partitions of outbox and inbox ahead of the calendar."""

import asyncio
import contextlib
from datetime import UTC, datetime

import structlog
from sqlalchemy import text

from penstock_common.db.engine import translated
from penstock_common.db.migrate import LOCK
from penstock_common.db.tables import ensure_partitions
from penstock_common.db.transaction import Database
from penstock_common.messaging.deadletter import describe

log = structlog.get_logger()

TURN = text("select pg_advisory_xact_lock(:lock, hashtext(:schema))")
EVERY = 3600.0  # seconds; partitions exist a week ahead, so that a missed turn costs nothing


class Partitions:
    """One per process; processes of one service take turns."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make them, then again every hour. Raises DatabaseUnavailable."""
        await self.ensure()
        self._task = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Make no more."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def ensure(self) -> None:
        """Make those that are missing now."""
        async with translated(), self.database.engine.begin() as connection:
            await connection.execute(TURN, {"lock": LOCK, "schema": self.database.schema})
            await ensure_partitions(connection, self.database.schema, datetime.now(UTC).date())

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.ensure()
            except Exception as error:  # until it succeeds, rows go to the default partition
                log.warning("partitions.failed", schema=self.database.schema, reason=describe(error))
