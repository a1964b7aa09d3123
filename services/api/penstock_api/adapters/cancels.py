"""Stops generations through the outbox: one transaction under way, and what comes meanwhile shares the next."""

import asyncio
from collections import deque

import structlog

from penstock_api.adapters.closing import write_the_rest
from penstock_common.contracts.generation import CancelGeneration
from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable

log = structlog.get_logger()

KEPT = 100_000  # stops that wait while the database is away
BATCH = 500
RETRY_SECONDS = 0.5


class Cancels:
    """Accepts stops at once, and commits them as soon as the database takes them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: deque[CancelGeneration] = deque(maxlen=KEPT)
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to commit."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, seconds: float = 2.0) -> None:
        """Commit what waits, if the database takes it in time."""
        await write_the_rest(self._task, self._commit_all, seconds)
        if self._waiting:
            log.warning("cancels.uncommitted", count=len(self._waiting))

    def add(self, cancel: CancelGeneration) -> None:
        """Stop this generation."""
        self._waiting.append(cancel)
        self._nudge.set()

    async def _run(self) -> None:
        while True:
            await self._nudge.wait()
            self._nudge.clear()
            try:
                await self._commit_all()
            except DatabaseUnavailable as error:
                log.warning("cancels.waiting", count=len(self._waiting), reason=error.message)
                self._nudge.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _commit_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                async with self.database.transaction() as tx:
                    for cancel in batch:
                        tx.publish(cancel)
            except (DatabaseUnavailable, asyncio.CancelledError):
                self._waiting.extendleft(reversed(batch))
                raise
