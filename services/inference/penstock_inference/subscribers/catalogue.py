"""Glue between messages and the catalogue."""

import time
from functools import partial

from penstock_common.contracts.catalogue import RegisterModel, RemoveModel
from penstock_inference.domain.catalogue import Origin, registered, removed
from penstock_inference.subscribers.deps import Deps, router


@router.on(RegisterModel)
async def register_model(command: RegisterModel, deps: Deps) -> None:
    """Add or replace a model, and tell everyone."""
    change = partial(registered, command=command, origin=Origin.OPERATOR, now=int(time.time()))
    async with deps.database.transaction(command) as tx:
        await deps.catalogue.change(tx, change, command)
    await deps.catalogue.refresh()


@router.on(RemoveModel)
async def remove_model(command: RemoveModel, deps: Deps) -> None:
    """Take a model out of service, and tell everyone."""
    async with deps.database.transaction(command) as tx:
        await deps.catalogue.change(tx, partial(removed, name=command.name), command)
    await deps.catalogue.refresh()
