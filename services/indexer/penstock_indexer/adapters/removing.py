"""Finishes removals: idempotent, without input, run by timer and by nudge, in as many processes as there are."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from penstock_common.clock import Clock
from penstock_common.contracts.documents import DOCUMENTS_FOLDER, RemoveDocument
from penstock_common.db.transaction import Database
from penstock_common.objects import Objects
from penstock_indexer.adapters.orders import SqlOrders

PIECE = 50  # documents of a removed base a round
OBJECTS = 200  # a round
ORPHANED_AFTER = timedelta(days=7)
"""Longer than a command may wait on the bus: an object that no row names by then belongs to an upload that died."""

LEFT = """
select d.id, d.base_id, d.tenant from indexer.documents d join indexer.bases b on b.id = d.base_id
where b.removed_at is not null order by d.id limit :limit
"""
EMPTIED = """
delete from indexer.bases b where b.removed_at is not null
and not exists (select from indexer.documents d where d.base_id = b.id)
"""
DOOMED = "select document_id, object_key from indexer.removals where object_key is not null limit :limit"
GONE = "update indexer.removals set object_key = null where document_id = :document_id"
UNKNOWN = """
select key from unnest(cast(:keys as text[])) as g(key)
where not exists (select from indexer.documents d where d.object_key = g.key)
"""


class Removing:
    """What is marked as removed goes for good."""

    def __init__(self, database: Database, objects: Objects, clock: Clock) -> None:
        self.database, self.objects, self.clock = database, objects, clock
        self.orders = SqlOrders()

    async def reconcile_removed_bases(self) -> bool:
        """Delete some documents of removed bases, then the empty bases; whether there may be more."""
        async with self.database.reading() as connection:
            left = (await connection.execute(text(LEFT), {"limit": PIECE})).all()
        for row in left:
            async with self.database.transaction() as tx:
                command = RemoveDocument(document_id=row.id, base_id=row.base_id, tenant=row.tenant)
                await self.orders.remove_document(tx, command)
        async with self.database.reading() as connection:
            await connection.execute(text(EMPTIED))
        return len(left) == PIECE

    async def reconcile_removed_contents(self) -> bool:
        """Delete the contents of removed documents; whether there may be more."""
        async with self.database.reading() as connection:
            doomed = (await connection.execute(text(DOOMED), {"limit": OBJECTS})).all()
        for row in doomed:
            await self._delete(row.document_id, row.object_key)
        return len(doomed) == OBJECTS

    async def reconcile_orphans(self) -> int:
        """Delete contents whose upload died before its command was kept; returns how many."""
        before, waiting, swept = self.clock.now() - ORPHANED_AFTER, list[str](), 0
        async for stored in self.objects.list(DOCUMENTS_FOLDER):
            if stored.modified_at < before:
                waiting.append(stored.key)
            if len(waiting) >= OBJECTS:
                swept += await self._sweep(waiting)
                waiting.clear()
        return swept + await self._sweep(waiting)

    async def _delete(self, document_id: UUID, key: str) -> None:
        await self.objects.delete(key)
        async with self.database.reading() as connection:
            await connection.execute(text(GONE), {"document_id": document_id})

    async def _sweep(self, keys: list[str]) -> int:
        async with self.database.reading() as connection:
            unknown = (await connection.scalars(text(UNKNOWN), {"keys": keys})).all()
        for key in unknown:
            await self.objects.delete(key)
        return len(unknown)
