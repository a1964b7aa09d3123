"""Indexer's handlers: dedupe, load, one domain call, publish."""

from dataclasses import dataclass

from penstock_common.contracts.documents import (
    AddDocument,
    RemoveBase,
    RemoveDocument,
    SaveBase,
)
from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router

router = Router("indexer")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database


@router.on(SaveBase)
async def save_base(command: SaveBase, deps: Deps) -> None:
    """Keep the knowledge base."""
    async with deps.database.transaction(command):
        pass


@router.on(RemoveBase)
async def remove_base(command: RemoveBase, deps: Deps) -> None:
    """Remove the knowledge base."""
    async with deps.database.transaction(command):
        pass


@router.on(AddDocument)
async def add_document(command: AddDocument, deps: Deps) -> None:
    """Keep the document; a worker of this service takes it up."""
    async with deps.database.transaction(command):
        pass


@router.on(RemoveDocument)
async def remove_document(command: RemoveDocument, deps: Deps) -> None:
    """Remove the document."""
    async with deps.database.transaction(command):
        pass
