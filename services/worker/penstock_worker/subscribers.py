"""Worker's handlers: dedupe, load, one domain call, publish."""

from dataclasses import dataclass

from penstock_common.contracts.runs import (
    CancelRun,
    RemoveTask,
    SaveTask,
    StartRun,
)
from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router

router = Router("worker")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database


@router.on(StartRun)
async def start_run(command: StartRun, deps: Deps) -> None:
    """Keep the run; a worker takes it up."""
    async with deps.database.transaction(command):
        pass


@router.on(CancelRun)
async def cancel_run(command: CancelRun, deps: Deps) -> None:
    """Mark the run as to be ended."""
    async with deps.database.transaction(command):
        pass


@router.on(SaveTask)
async def save_task(command: SaveTask, deps: Deps) -> None:
    """Keep the declaration."""
    async with deps.database.transaction(command):
        pass


@router.on(RemoveTask)
async def remove_task(command: RemoveTask, deps: Deps) -> None:
    """Forget the declaration."""
    async with deps.database.transaction(command):
        pass
