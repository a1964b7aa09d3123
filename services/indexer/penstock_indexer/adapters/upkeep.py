"""What has to become true sooner or later, by timer and by nudge."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from penstock_common.errors import PenstockError
from penstock_indexer.adapters.index.shelf import Shelf
from penstock_indexer.adapters.removing import Removing

log = structlog.get_logger()

EVERY_SECONDS = 30.0
SWEEP_EVERY = 120  # rounds: an hour


class Upkeep:
    """Runs the reconcilers of one process."""

    def __init__(self, removing: Removing, shelf: Shelf) -> None:
        self.removing, self.shelf = removing, shelf
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with a round at once."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is left is done by the next process."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def nudge(self) -> None:
        """Something was removed."""
        self._nudged.set()

    async def _run(self) -> None:
        rounds = 0
        while True:
            await self._guarded(self._remove)
            if rounds % SWEEP_EVERY == 0:
                await self._guarded(self._sweep)
            rounds += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), EVERY_SECONDS)
            self._nudged.clear()

    async def _remove(self) -> None:
        while await self.removing.reconcile_removed_bases():
            pass
        while await self.removing.reconcile_removed_contents():
            pass

    async def _sweep(self) -> None:
        await self.shelf.sweep()
        if swept := await self.removing.reconcile_orphans():
            log.info("objects.swept", count=swept)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except PenstockError as error:
            log.warning("upkeep.failed", reason=error.message)
        except Exception:
            log.exception("upkeep.failed")
