"""Indexer's handlers: dedupe, one change, publish."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock_common.contracts.documents import AddDocument, RemoveBase, RemoveDocument, RetryDocument, SaveBase
from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router
from penstock_indexer.ports import Orders

router = Router("indexer")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database
    orders: Orders
    nudge: Callable[[], None]
    """Tells this process's workers that there is something to do."""


@router.on(SaveBase)
async def save_base(command: SaveBase, deps: Deps) -> None:
    """Keep the knowledge base."""
    async with deps.database.transaction(command) as tx:
        await deps.orders.save_base(tx.connection, command)


@router.on(RemoveBase)
async def remove_base(command: RemoveBase, deps: Deps) -> None:
    """Show the knowledge base no more; a reconciler removes what is in it."""
    async with deps.database.transaction(command) as tx:
        await deps.orders.remove_base(tx.connection, command)
    deps.nudge()


@router.on(AddDocument)
async def add_document(command: AddDocument, deps: Deps) -> None:
    """Keep the document; a worker of this service takes it up."""
    async with deps.database.transaction(command) as tx:
        await deps.orders.add_document(tx.connection, command)
    deps.nudge()


@router.on(RemoveDocument)
async def remove_document(command: RemoveDocument, deps: Deps) -> None:
    """Remove the document; from the commit on no search finds it."""
    async with deps.database.transaction(command) as tx:
        await deps.orders.remove_document(tx, command)
    deps.nudge()


@router.on(RetryDocument)
async def retry_document(command: RetryDocument, deps: Deps) -> None:
    """Queue the document again, if it failed."""
    async with deps.database.transaction(command) as tx:
        await deps.orders.retry_document(tx, command)
    deps.nudge()
