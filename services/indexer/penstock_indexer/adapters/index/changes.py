"""What an index lacks, read from PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from penstock_common.db.transaction import Database
from penstock_common.sealing import Sealer
from penstock_indexer.adapters.index.entries import Change, Entry, chunk_id
from penstock_indexer.adapters.index.tokens import Tokens
from penstock_indexer.adapters.secrets import text_context, vector_context

DOCUMENTS = 50  # a change, at most
MANY = 5000  # chunks a change, from which on no further document is taken into it
CHUNKS = 500  # a statement

BASE = """
select tenant, key_id, model, sequence from indexer.bases where id = :base_id and removed_at is null
"""
REMOVED = """
select slot, sequence from indexer.removals
where base_id = :base_id and sequence > :after and sequence <= :upto order by sequence
"""
INDEXED = """
select id, slot, sequence, chunks from indexer.documents
where base_id = :base_id and state = 'indexed' and sequence > :after and sequence <= :upto
order by sequence limit :limit
"""
ENTRIES = """
select number, sealed_text, sealed_vector from indexer.chunks
where document_id = :document_id and number >= :number order by number limit :limit
"""


@dataclass(frozen=True, slots=True)
class Base:
    """A knowledge base as the indexes need it."""

    id: UUID
    tenant: UUID
    key_id: UUID
    model: str
    sequence: int


class Changes:
    """Reads what happened to a base, in the order of its commits. Raises DatabaseUnavailable, SubjectErased."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self.database, self.sealer, self.tokens = database, sealer, Tokens(sealer)

    async def base(self, base_id: UUID) -> Base | None:
        """The base as it is now; None where it is removed or unknown."""
        async with self.database.reading() as connection:
            row = (await connection.execute(text(BASE), {"base_id": base_id})).one_or_none()
        return Base(base_id, *row) if row else None

    async def after(self, base: Base, sequence: int) -> Change | None:
        """Some of what happened after a sequence; None where nothing did."""
        if sequence >= base.sequence:
            return None
        given = {"base_id": base.id, "after": sequence, "upto": base.sequence}
        async with self.database.reading() as connection:
            indexed = (await connection.execute(text(INDEXED), {**given, "limit": DOCUMENTS})).all()
            taken = _first(indexed)
            is_all = len(taken) == len(indexed) < DOCUMENTS
            reached = base.sequence if is_all else taken[-1].sequence
            removed = (await connection.execute(text(REMOVED), {**given, "upto": reached})).all()
        entries = [entry for row in taken for entry in await self._entries(base, row)]
        slots = [row.slot for row in (*removed, *taken)]
        return Change(reached, slots, entries)

    async def _entries(self, base: Base, document: Any) -> list[Entry]:
        entries: list[Entry] = []
        while True:
            given = {"document_id": document.id, "number": len(entries), "limit": CHUNKS}
            async with self.database.reading() as connection:
                rows = (await connection.execute(text(ENTRIES), given)).all()
            entries += await asyncio.to_thread(self._opened, base.tenant, document, rows)
            if len(rows) < CHUNKS:
                return entries

    def _opened(self, tenant: UUID, document: Any, rows: Sequence[Any]) -> list[Entry]:
        return [
            Entry(
                chunk_id(document.slot, row.number),
                self.sealer.open(vector_context(document.id, row.number), row.sealed_vector),
                " ".join(self.tokens.of(tenant, self._text(document.id, row))),
            )
            for row in rows
        ]

    def _text(self, document_id: UUID, row: Any) -> str:
        return self.sealer.open(text_context(document_id, row.number), row.sealed_text).decode()


def _first(documents: Sequence[Any]) -> list[Any]:
    """As many of the documents as one change takes, at least one where there is one."""
    taken, chunks = [], 0
    for document in documents:
        if chunks >= MANY:
            break
        taken.append(document)
        chunks += document.chunks
    return taken
