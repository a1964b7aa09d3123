"""Glue between messages and the catalogue."""

import time
from functools import partial
from typing import Protocol

from penstock_common.contracts.catalogue import RegisterModel, RemoveModel
from penstock_common.db.transaction import Database
from penstock_inference.adapters.catalogue import Catalogue
from penstock_inference.domain.catalogue import Origin, registered, removed
from penstock_inference.subscribers import router

__all__ = ["register_model", "remove_model", "router"]


class CatalogueDeps(Protocol):
    """What these handlers need."""

    @property
    def database(self) -> Database:
        """The service's schema."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue."""


@router.on(RegisterModel)
async def register_model(command: RegisterModel, deps: CatalogueDeps) -> None:
    """Add or replace a model, and tell everyone."""
    change = partial(registered, command=command, origin=Origin.OPERATOR, now=int(time.time()))
    async with deps.database.transaction(command) as tx:
        await deps.catalogue.change(tx, change, command)
    await deps.catalogue.refresh()


@router.on(RemoveModel)
async def remove_model(command: RemoveModel, deps: CatalogueDeps) -> None:
    """Take a model out of service, and tell everyone."""
    async with deps.database.transaction(command) as tx:
        await deps.catalogue.change(tx, partial(removed, name=command.name), command)
    await deps.catalogue.refresh()
