"""Lets go of ticks and removals that nothing can refer to any more."""

from datetime import timedelta

from penstock_common.clock import Clock
from penstock_common.periodic import Periodic
from penstock_scheduler.adapters.claims import SqlSchedules

EVERY = 3600.0  # seconds
KEPT = timedelta(days=90)  # a schedule never goes back to moments before it was last saved or due


def make_memory(schedules: SqlSchedules, clock: Clock) -> Periodic:
    """One per process; several do no harm."""

    async def reconcile_old_ticks() -> None:
        await schedules.forget(clock.now() - KEPT)

    return Periodic(EVERY, reconcile_old_ticks, "memory.kept")
