"""Worker's handlers: dedupe, one change, publish; then whoever is free takes up the run."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock_common.contracts.runs import (
    CancelRun,
    RemoveTask,
    SaveTask,
    StartRun,
)
from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router
from penstock_worker.ports import Intake

router = Router("worker")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database
    intake: Intake
    nudge: Callable[[], None]
    """There may be work."""


@router.on(StartRun)
async def start_run(command: StartRun, deps: Deps) -> None:
    """Keep the run; a worker takes it up."""
    async with deps.database.transaction(command) as tx:
        await deps.intake.start(tx, command)
    deps.nudge()


@router.on(CancelRun)
async def cancel_run(command: CancelRun, deps: Deps) -> None:
    """Mark the run as to be ended; who holds it hears the command as well."""
    async with deps.database.transaction(command) as tx:
        await deps.intake.cancel(tx, command)


@router.on(SaveTask)
async def save_task(command: SaveTask, deps: Deps) -> None:
    """Keep the declaration."""
    async with deps.database.transaction(command) as tx:
        await deps.intake.save(tx, command)


@router.on(RemoveTask)
async def remove_task(command: RemoveTask, deps: Deps) -> None:
    """Forget the declaration."""
    async with deps.database.transaction(command) as tx:
        await deps.intake.remove(tx, command)
