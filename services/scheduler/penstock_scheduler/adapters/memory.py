"""Lets go of ticks and removals that nothing can refer to any more."""

import asyncio
import contextlib
from datetime import timedelta

import structlog

from penstock_common.clock import Clock
from penstock_common.errors import PenstockError
from penstock_scheduler.adapters.claims import SqlSchedules

log = structlog.get_logger()

EVERY = 3600.0  # seconds
KEPT = timedelta(days=90)  # a schedule never goes back to moments before it was last saved or due


class Memory:
    """One per process; several do no harm."""

    def __init__(self, schedules: SqlSchedules, clock: Clock) -> None:
        self.schedules, self.clock = schedules, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, the first time after an hour."""
        self._task = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def reconcile_old_ticks(self) -> None:
        """Drop what is older than the memory. Raises DatabaseUnavailable."""
        await self.schedules.forget(self.clock.now() - KEPT)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.reconcile_old_ticks()
            except PenstockError as error:
                log.warning("memory.kept", reason=error.message)
            except Exception:
                log.exception("memory.failed")
