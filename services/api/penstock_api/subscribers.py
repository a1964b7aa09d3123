"""Glue between events and what api keeps of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.contracts.operating import OperatorActed
from penstock_common.db.transaction import Database
from penstock_common.messaging.replayed import effects_allowed
from penstock_common.messaging.router import Router

router = Router("api")


class History(Protocol):
    """What api knows of requests."""

    async def record_new(self, events: Sequence[GenerationCompleted]) -> bool:
        """Write the running handler's ends in one statement; False, and nothing, where one was heard before."""

    async def record_ends(self, connection: AsyncConnection, events: Sequence[GenerationCompleted]) -> None:
        """Write ends."""


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need; what is given a connection writes within its transaction."""

    database: Database
    history: History
    keep_catalogue: Callable[[AsyncConnection, CatalogueChanged], Awaitable[None]]
    suppress_effects: Callable[[AsyncConnection, Sequence[GenerationCompleted]], Awaitable[None]]
    write_audit: Callable[[AsyncConnection, OperatorActed], Awaitable[None]]


@router.on_batch(GenerationCompleted, size=256, within_ms=100)
async def on_generation_completed(events: Sequence[GenerationCompleted], deps: Deps) -> None:
    """Write the ends into the history of requests."""
    if effects_allowed() and await deps.history.record_new(events):
        return
    async with deps.database.transaction(events) as tx:
        if not effects_allowed():
            await deps.suppress_effects(tx.connection, tx.fresh)
        await deps.history.record_ends(tx.connection, tx.fresh)


@router.on(CatalogueChanged)
async def on_catalogue_changed(event: CatalogueChanged, deps: Deps) -> None:
    """Keep the newest catalogue."""
    async with deps.database.transaction(event) as tx:
        await deps.keep_catalogue(tx.connection, event)


@router.on(OperatorActed)
async def on_operator_acted(event: OperatorActed, deps: Deps) -> None:
    """Write what an operator did into the audit log."""
    async with deps.database.transaction(event) as tx:
        await deps.write_audit(tx.connection, event)
