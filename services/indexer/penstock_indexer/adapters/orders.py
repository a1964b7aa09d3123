"""What commands change, each within the transaction of its handler."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.documents import (
    AddDocument,
    DocumentChanged,
    DocumentState,
    RemoveBase,
    RemoveDocument,
    RetryDocument,
    SaveBase,
)
from penstock_common.db.transaction import Transaction
from penstock_common.messaging.envelope import CONTEXT
from penstock_indexer.domain.errors import BaseUnknown

SAVE_BASE = """
insert into indexer.bases (id, tenant, key_id, name, model, chunk_characters, overlap_characters)
select cast(:base_id as uuid), cast(:tenant as uuid), cast(:key_id as uuid), cast(:name as text), cast(:model as text),
    cast(:chunk_characters as int), cast(:overlap_characters as int)
where not exists (select from indexer.removed_bases where base_id = cast(:base_id as uuid))
on conflict (id) do nothing
"""
REMOVE_BASE = "update indexer.bases set removed_at = now() where id = :base_id and tenant = :tenant returning id"
KNOWN_BASE = "select exists (select from indexer.bases where id = :base_id)"
BURY_BASE = "insert into indexer.removed_bases (base_id) values (:base_id) on conflict do nothing"
ADD_DOCUMENT = """
insert into indexer.documents (id, base_id, tenant, key_id, object_key, media_type, size, sealed_name, traceparent)
select cast(:document_id as uuid), b.id, b.tenant, cast(:key_id as uuid), cast(:object_key as text),
    cast(:media_type as text), cast(:size as bigint), cast(:sealed_name as bytea), cast(:traceparent as text)
from indexer.bases b
where b.id = :base_id and b.tenant = :tenant and b.removed_at is null
    and not exists (select from indexer.removals where document_id = cast(:document_id as uuid))
on conflict (id) do nothing returning id
"""
ADD_TURN = "insert into indexer.turns (tenant) values (:tenant) on conflict do nothing"
BURIED = """
select exists (select from indexer.removals where document_id = :document_id)
    or exists (select from indexer.removed_bases where base_id = :base_id)
    or exists (select from indexer.bases where id = :base_id and removed_at is not null)
"""
KNOWN_DOCUMENT = "select exists (select from indexer.documents where id = :document_id)"
DOOM_OBJECT = """
insert into indexer.removals (document_id, base_id, object_key) values (:document_id, :base_id, :object_key)
on conflict (document_id) do update set object_key = excluded.object_key
"""
DELETE_DOCUMENT = """
delete from indexer.documents where id = :document_id and tenant = :tenant
returning id, base_id, tenant, slot, object_key, version, state
"""
NEXT_SEQUENCE = "update indexer.bases set sequence = sequence + 1 where id = :base_id returning sequence"
BURY_DOCUMENT = """
insert into indexer.removals (document_id, base_id, slot, sequence, object_key)
values (:document_id, :base_id, :slot, :sequence, :object_key) on conflict (document_id) do nothing
"""
RETRY_DOCUMENT = """
update indexer.documents
set state = 'queued', attempts = 0, error_code = '', error = '', retry_at = '-infinity', version = version + 1,
    changed_at = now(), traceparent = :traceparent
where id = :document_id and tenant = :tenant and state = 'failed' returning version, chunks
"""


class SqlOrders:
    """Implements `Orders`."""

    async def save_base(self, connection: AsyncConnection, command: SaveBase) -> None:
        """Keep a knowledge base; one that is there, or was removed, stays as it is."""
        names = ("base_id", "tenant", "key_id", "name", "model", "chunk_characters", "overlap_characters")
        await connection.execute(text(SAVE_BASE), {name: getattr(command, name) for name in names})

    async def remove_base(self, connection: AsyncConnection, command: RemoveBase) -> None:
        """Show it no more; its documents go soon. One that is still to come will not be made."""
        given = {"base_id": command.base_id, "tenant": command.tenant}
        is_removed = (await connection.execute(text(REMOVE_BASE), given)).one_or_none() is not None
        if is_removed or not await connection.scalar(text(KNOWN_BASE), {"base_id": command.base_id}):
            await connection.execute(text(BURY_BASE), {"base_id": command.base_id})

    async def add_document(self, connection: AsyncConnection, command: AddDocument) -> None:
        """Keep a document to be indexed. Raises BaseUnknown where its base is still to come."""
        names = ("document_id", "base_id", "tenant", "key_id", "object_key", "media_type", "size", "sealed_name")
        given = {name: getattr(command, name) for name in names} | {"traceparent": CONTEXT.get().traceparent}
        if (await connection.execute(text(ADD_DOCUMENT), given)).one_or_none() is not None:
            await connection.execute(text(ADD_TURN), {"tenant": command.tenant})
            return
        if await connection.scalar(text(KNOWN_DOCUMENT), {"document_id": command.document_id}):
            return
        ids = {"document_id": command.document_id, "base_id": command.base_id}
        if not await connection.scalar(text(BURIED), ids):
            raise BaseUnknown(f"The knowledge base {command.base_id} is not known yet.")
        await connection.execute(text(DOOM_OBJECT), {**ids, "object_key": command.object_key})

    async def remove_document(self, tx: Transaction[Any], command: RemoveDocument) -> None:
        """Delete it with its chunks and vectors; its content goes soon. One that is still to come will not be kept."""
        given = {"document_id": command.document_id, "tenant": command.tenant}
        row = (await tx.connection.execute(text(DELETE_DOCUMENT), given)).one_or_none()
        if row is None:
            await _bury_unknown(tx.connection, command)
            return
        sequence = await tx.connection.scalar(text(NEXT_SEQUENCE), {"base_id": row.base_id})
        buried = {"slot": row.slot, "sequence": sequence, "object_key": row.object_key}
        await tx.connection.execute(text(BURY_DOCUMENT), {"document_id": row.id, "base_id": row.base_id, **buried})
        tx.publish(
            DocumentChanged(
                document_id=row.id,
                base_id=row.base_id,
                tenant=row.tenant,
                version=row.version + 1,
                state=DocumentState(row.state),
                removed=True,
            ),
            because_of=command,
        )

    async def retry_document(self, tx: Transaction[Any], command: RetryDocument) -> None:
        """Queue a failed document again; any other stays as it is."""
        given: dict[str, Any] = {"document_id": command.document_id, "tenant": command.tenant}
        given |= {"traceparent": CONTEXT.get().traceparent}
        row = (await tx.connection.execute(text(RETRY_DOCUMENT), given)).one_or_none()
        if row:
            queued = DocumentChanged(
                document_id=command.document_id,
                base_id=command.base_id,
                tenant=command.tenant,
                version=row.version,
                state=DocumentState.QUEUED,
                chunks=row.chunks,
            )
            tx.publish(queued, because_of=command)


async def _bury_unknown(connection: AsyncConnection, command: RemoveDocument) -> None:
    """Another tenant's document is there and stays; for one that is nowhere a tombstone waits."""
    if not await connection.scalar(text(KNOWN_DOCUMENT), {"document_id": command.document_id}):
        nothing = {"slot": None, "sequence": None, "object_key": None}
        ids = {"document_id": command.document_id, "base_id": command.base_id}
        await connection.execute(text(BURY_DOCUMENT), {**ids, **nothing})
