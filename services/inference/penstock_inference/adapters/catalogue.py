"""The catalogue in the service's schema, and its copy in this process."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.base import Contract
from penstock_common.db.transaction import Database, Transaction
from penstock_common.errors import PenstockError
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import CATALOGUE_CHANGED
from penstock_inference.adapters.discovery import Change, Discovery
from penstock_inference.domain.catalogue import Model, Snapshot

log = structlog.get_logger()

POLL_SECONDS = 5.0
ASK_SECONDS = 15.0

PRICE = (
    "version",
    "currency",
    "input_nano",
    "output_nano",
    "cached_input_nano",
    "provider_input_nano",
    "provider_output_nano",
)
PLAIN = (
    "name",
    "engine",
    "dialect",
    "url",
    "upstream_model",
    "secret",
    "context_tokens",
    "created",
    "enabled",
    "take_over",
)
LISTS = ("aliases", "capabilities")
MODEL = (*PLAIN, *LISTS, "origin", "price_version")

VERSION = "select version from inference.catalogue"
LOCK = f"{VERSION} for update"
MODELS = f"""
select {", ".join(f"m.{c}" for c in MODEL)}, {", ".join(f"p.{c}" for c in PRICE)}
from inference.models m join inference.prices p on p.version = m.price_version
"""
ADD_PRICE = f"""
insert into inference.prices (model, {", ".join(PRICE)}) values (:model, {", ".join(f":{c}" for c in PRICE)})
on conflict (version) do nothing
"""
PUT_MODEL = f"""
insert into inference.models ({", ".join(MODEL)}) values ({", ".join(f":{c}" for c in MODEL)})
on conflict (name) do update set changed_at = now(), {", ".join(f"{c} = excluded.{c}" for c in MODEL[1:])}
"""
SET_VERSION = "update inference.catalogue set version = :version"


class Catalogue:
    """`current` is the catalogue as this process knows it: refreshed on its own changes, on news, every 5 s."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        models_file: Path | None = None,
        *,
        discover: bool = False,
        watched: frozenset[str] = frozenset(),
    ) -> None:
        """`watched` are the base URLs at which engines are looked for."""
        self.database, self.bus = database, bus
        self.current = Snapshot()
        self._discovery = Discovery(models_file, discover, watched=watched)
        self._news: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = asyncio.Event()

    @property
    def version(self) -> int:
        """Of the catalogue, as this process knows it."""
        return self.current.version

    def resolve(self, name: str) -> Model | None:
        """The model in service under a name or alias."""
        return self.current.resolve(name)

    async def start(self) -> None:
        """Fill it with what is known from the start, then follow what changes. Raises where the file is wrong."""
        await self.apply(self._discovery.seed())
        self._news = await self.bus.listen(CATALOGUE_CHANGED, self._hear)
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._ask())]

    async def stop(self) -> None:
        """Follow no more."""
        if self._news:
            await self._news.stop()
        for task in self._tasks:
            task.cancel()

    async def change(self, tx: Transaction[Any], change: Change, because_of: Contract | None = None) -> None:
        """Apply a pure change in the caller's transaction, and publish the new catalogue if it is one."""
        version = await tx.connection.scalar(text(LOCK))
        before = await load(tx.connection, int(version or 0))
        after = change(before)
        if after is before:
            return
        after = Snapshot(before.version + 1, after.models)
        for model in after.models.values():
            if before.models.get(model.name) != model:
                await tx.connection.execute(text(ADD_PRICE), price_row(model))
                await tx.connection.execute(text(PUT_MODEL), model_row(model))
        await tx.connection.execute(text(SET_VERSION), {"version": after.version})
        tx.publish(after.published(), because_of=because_of)

    async def apply(self, change: Change) -> None:
        """Apply a change in a transaction of its own."""
        async with self.database.transaction() as tx:
            await self.change(tx, change)
        await self.refresh()

    async def refresh(self) -> None:
        """Read the catalogue again if its version is another."""
        async with self.database.reading() as connection:
            version = int(await connection.scalar(text(VERSION)) or 0)
            if version != self.current.version:
                # The version is read first: a change in between makes the next refresh read again, never the reverse.
                self.current = await load(connection, version)
                log.info("catalogue.loaded", version=version, models=len(self.current.names))

    async def _ask(self) -> None:
        """Ask the engine that was found for its models, until it answers once."""
        while self._discovery.base_url:
            try:
                await self.apply(await self._discovery.ask())
            except PenstockError as error:
                log.warning("discovery.failed", url=self._discovery.base_url, reason=error.message)
                await asyncio.sleep(ASK_SECONDS)
            else:
                return

    async def _hear(self, _: bytes) -> None:
        self._heard.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), POLL_SECONDS)
            self._heard.clear()
            try:
                await self.refresh()
            except PenstockError as error:
                log.warning("catalogue.stale", version=self.current.version, reason=error.code)


async def load(connection: AsyncConnection, version: int) -> Snapshot:
    """All models with their prices."""
    models: dict[str, Model] = {}
    for row in (await connection.execute(text(MODELS))).mappings():
        fields = {column: row[column] for column in MODEL if column != "price_version"}
        models[row["name"]] = msgspec.convert({**fields, "price": {column: row[column] for column in PRICE}}, Model)
    return Snapshot(version, models)


def model_row(model: Model) -> dict[str, Any]:
    """A model as parameters of its row."""
    plain = {column: getattr(model, column) for column in PLAIN}
    lists = {column: list(getattr(model, column)) for column in LISTS}
    return {**plain, **lists, "origin": model.origin.value, "price_version": model.price.version}


def price_row(model: Model) -> dict[str, Any]:
    """A model's price as parameters of its row."""
    return {"model": model.name, **{column: getattr(model.price, column) for column in PRICE}}
