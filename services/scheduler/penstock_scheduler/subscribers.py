"""Scheduler's handlers: dedupe, load, one domain call, publish."""

from dataclasses import dataclass

from penstock_common.contracts.schedules import (
    RemoveSchedule,
    SaveSchedule,
)
from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router

router = Router("scheduler")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database


@router.on(SaveSchedule)
async def save_schedule(command: SaveSchedule, deps: Deps) -> None:
    """Keep the schedule."""
    async with deps.database.transaction(command):
        pass


@router.on(RemoveSchedule)
async def remove_schedule(command: RemoveSchedule, deps: Deps) -> None:
    """Forget the schedule."""
    async with deps.database.transaction(command):
        pass
