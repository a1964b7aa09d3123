"""What has to become true sooner or later, by timer and by nudge."""

import structlog

from penstock_common.periodic import Periodic, guarded
from penstock_indexer.adapters.index.shelf import Shelf
from penstock_indexer.adapters.removing import Removing

log = structlog.get_logger()

EVERY_SECONDS = 30.0
SWEEP_EVERY = 120  # rounds: an hour
FAILED = "upkeep.failed"


class Upkeep:
    """Runs the reconcilers of one process."""

    def __init__(self, removing: Removing, shelf: Shelf) -> None:
        self.removing, self.shelf, self._rounds = removing, shelf, 0
        self._repeating = Periodic(EVERY_SECONDS, self._round, FAILED)

    def start(self) -> None:
        """Begin, with a round at once."""
        self._repeating.start()
        self._repeating.nudge()

    async def stop(self) -> None:
        """End; what is left is done by the next process."""
        await self._repeating.stop()

    def nudge(self) -> None:
        """Something was removed."""
        self._repeating.nudge()

    async def _round(self) -> None:
        await guarded(self._remove, FAILED)
        if self._rounds % SWEEP_EVERY == 0:
            await guarded(self._sweep, FAILED)
        self._rounds += 1

    async def _remove(self) -> None:
        while await self.removing.reconcile_removed_bases():
            pass
        while await self.removing.reconcile_removed_contents():
            pass

    async def _sweep(self) -> None:
        await self.shelf.sweep()
        if swept := await self.removing.reconcile_orphans():
            log.info("objects.swept", count=swept)
