"""The catalogue as api knows it: a row kept from inference's events, and a snapshot in memory."""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.base import decode
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, RegisterModel, RemoveModel
from penstock_common.db.transaction import Database
from penstock_common.errors import PenstockError
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.periodic import every
from penstock_common.topology import CATALOGUE_CHANGED

REREAD_SECONDS = 4.0  # what no broadcast told is known within 5 s, the query included

KEEP = """
update {schema}.catalogue set version = :version, models = cast(:models as jsonb) where version < :version
"""
READ = text("select version, models::text as models from api.catalogue where version > :version")


class Catalogue:
    """The newest catalogue that this process heard of, or read."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self.database, self.bus = database, bus
        self.version = 0
        self.models: Sequence[CatalogueModel] = ()
        self._by_name: dict[str, CatalogueModel] = {}
        self._subscription: Subscription | None = None
        self._rereading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the catalogue, and follow changes. Raises DatabaseUnavailable, BusUnavailable; then may be repeated."""
        await self.stop()
        self._subscription = await self.bus.listen(CATALOGUE_CHANGED, self._on_change)
        await self.refresh()
        self._rereading = asyncio.create_task(every(REREAD_SECONDS, self.refresh, "catalogue.unread"))

    async def stop(self) -> None:
        """Stop following."""
        if self._rereading:
            self._rereading.cancel()
            await asyncio.gather(self._rereading, return_exceptions=True)
        if self._subscription:
            with contextlib.suppress(PenstockError):
                await self._subscription.stop()
        self._rereading = self._subscription = None

    def resolve(self, name: str) -> CatalogueModel | None:
        """The model of this name or alias."""
        return self._by_name.get(name)

    def take(self, event: CatalogueChanged) -> None:
        """Serve this catalogue from now on, unless a newer one is served."""
        if event.version <= self.version:
            return
        aliases = {alias: model for model in event.models for alias in model.aliases}
        self._by_name = aliases | {model.name: model for model in event.models}
        self.models = tuple(sorted(event.models, key=lambda model: model.name))
        self.version = event.version

    async def keep(self, connection: AsyncConnection, event: CatalogueChanged) -> None:
        """Serve this catalogue, and keep it for processes that start later; an older version changes nothing."""
        await keep_catalogue(connection, self.database.schema, event)
        self.take(event)

    async def refresh(self) -> None:
        """Read the kept catalogue if it is newer. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            row = (await connection.execute(READ, {"version": self.version})).one_or_none()
        if row:
            models = msgspec.json.decode(row.models, type=list[CatalogueModel])
            self.take(CatalogueChanged(version=row.version, models=models))

    async def _on_change(self, body: bytes) -> None:
        self.take(decode(CatalogueChanged, body))


async def keep_catalogue(connection: AsyncConnection, schema: str, event: CatalogueChanged) -> None:
    """Keep a catalogue in the table of a schema, unless a newer one is kept."""
    given = {"version": event.version, "models": msgspec.json.encode(event.models).decode()}
    await connection.execute(text(KEEP.format(schema=schema)), given)


class Orders:
    """Commands to the catalogue's owner, through the outbox."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def order(self, command: RegisterModel | RemoveModel) -> None:
        """Keep the command, to be sent whatever happens now. Raises DatabaseUnavailable."""
        async with self.database.transaction() as tx:
            tx.publish(command)
