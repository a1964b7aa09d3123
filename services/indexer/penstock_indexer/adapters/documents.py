"""Documents at work, as PostgreSQL keeps them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.documents import DocumentChanged, DocumentState
from penstock_common.db.transaction import Database, Transaction
from penstock_common.ids import uuid7
from penstock_common.sealing import Sealer
from penstock_indexer.adapters import at_work
from penstock_indexer.adapters.secrets import text_context, vector_context
from penstock_indexer.domain.errors import VectorsDiffer
from penstock_indexer.indexing.traced import in_trace_of
from penstock_indexer.parsing.wire import Chunk
from penstock_indexer.ports import Ask, Batch, Claimed, Superseded, Vectors

PIECE = 500  # chunks a statement


class SqlDocuments:
    """Implements `Documents`. Texts and vectors are sealed by the tenant's key."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self.database, self.sealer = database, sealer

    async def claim(self, lease_seconds: float) -> Claimed | None:
        """The next document, tenants taking turns; None where nothing waits."""
        if not await self.database.finds(at_work.CLAIMABLE):
            return None
        async with self.database.transaction() as tx:
            row = (await tx.connection.execute(text(at_work.CLAIM), {"lease": lease_seconds})).one_or_none()
            if row is None:
                return None
            claimed = Claimed(**row._mapping)
            state = DocumentState.EMBEDDING if claimed.is_parsed else DocumentState.PARSING
            with in_trace_of(claimed):
                tx.publish(changed(claimed, claimed.version, state, claimed.chunks))
        return claimed

    async def renew(self, claimed: Claimed, lease_seconds: float) -> None:
        """Stay its worker for so many seconds more."""
        async with self.database.reading() as connection:
            await _held(connection, at_work.RENEW, claimed, lease=lease_seconds)

    async def store(self, claimed: Claimed, chunks: Sequence[Chunk], pages: int) -> None:
        """Keep the chunks; what is left to do is embedding."""
        sealed = await asyncio.to_thread(self._sealed_texts, claimed, chunks)
        async with self.database.transaction() as tx:
            row = await _held(tx.connection, at_work.PARSED, claimed, chunks=len(chunks), pages=pages)
            for begin in range(0, len(chunks), PIECE):
                await _insert(tx.connection, claimed, begin, chunks[begin : begin + PIECE], sealed)
            tx.publish(changed(claimed, row.version, DocumentState.EMBEDDING, len(chunks)))

    async def batch(self, claimed: Claimed, size: int) -> Batch:
        """The next chunks without a vector, at most so many."""
        async with self.database.reading() as connection:
            rows = (await connection.execute(text(at_work.BATCH), {"id": claimed.id, "size": size})).all()
        numbers = [row.number for row in rows]
        texts = [self.sealer.open(text_context(claimed.id, r.number), r.sealed_text).decode() for r in rows]
        return Batch(numbers, texts)

    async def ask(self, claimed: Claimed, batch: Batch) -> Ask:
        """Keep the request of a batch before it is asked: the one kept already, while its texts are the same."""
        minted, first = uuid7(), batch.numbers[0]
        mac = self.sealer.mac(claimed.tenant, "\0".join((claimed.model, *batch.texts)).encode())
        given = {"first": first, "request_id": minted, "body_mac": mac}
        async with self.database.reading() as connection:
            row = await _held(connection, at_work.ASK, claimed, **given)
        return Ask(first, row.request_id, row.request_id != minted, row.is_doubtful)

    async def drop_ask(self, claimed: Claimed, ask: Ask, *, doubtful: bool = False) -> None:
        """Ask under another id next time; or, in doubt, once more under this one."""
        statement = at_work.DOUBT_ASK if doubtful else at_work.DROP_ASK
        given = {"id": claimed.id, "first": ask.first, "request_id": ask.request_id}
        async with self.database.reading() as connection:
            await connection.execute(text(statement), given)

    async def store_vectors(self, claimed: Claimed, batch: Batch, vectors: Vectors) -> None:
        """Keep a batch's vectors."""
        numbered = zip(batch.numbers, vectors.rows, strict=True)
        sealed = [self.sealer.seal(claimed.tenant, vector_context(claimed.id, n), row) for n, row in numbered]
        given: dict[str, Any] = {"id": claimed.id, "epoch": claimed.epoch, "dimension": vectors.dimension}
        given |= {"number": list(batch.numbers), "vector": sealed}
        async with self.database.reading() as connection:
            if not (await connection.execute(text(at_work.STORE_VECTORS), given)).all():
                raise Superseded

    async def finish(self, claimed: Claimed) -> None:
        """The document can be found from now on. Raises VectorsDiffer."""
        async with self.database.transaction() as tx:
            row = await _held(tx.connection, at_work.INDEXED, claimed)
            await _place(tx, claimed)
            await tx.connection.execute(text(at_work.FORGET_ASKS), {"id": claimed.id})
            tx.publish(changed(claimed, row.version, DocumentState.INDEXED, row.chunks))

    async def release(self, claimed: Claimed, delay: float, *, is_fault: bool, code: str = "", error: str = "") -> None:
        """Let anyone take it up after so many seconds; a fault counts as an attempt."""
        given = {"delay": delay, "uncounted": int(not is_fault), "code": code, "error": error}
        async with self.database.reading() as connection:
            await _held(connection, at_work.RELEASE, claimed, **given)

    async def fail(self, claimed: Claimed, code: str, error: str) -> None:
        """Give it up, with a public code and a sentence."""
        async with self.database.transaction() as tx:
            row = await _held(tx.connection, at_work.FAIL, claimed, code=code, error=error)
            tx.publish(changed(claimed, row.version, DocumentState.FAILED, row.chunks, code))

    def _sealed_texts(self, claimed: Claimed, chunks: Sequence[Chunk]) -> list[bytes]:
        return [
            self.sealer.seal(claimed.tenant, text_context(claimed.id, number), chunk.text.encode())
            for number, chunk in enumerate(chunks)
        ]


def changed(claimed: Claimed, version: int, state: DocumentState, chunks: int, code: str = "") -> DocumentChanged:
    """What is told of a document's new state."""
    return DocumentChanged(
        document_id=claimed.id,
        base_id=claimed.base_id,
        tenant=claimed.tenant,
        version=version,
        state=state,
        chunks=chunks,
        error_code=code,
    )


async def _held(connection: AsyncConnection, statement: str, claimed: Claimed, **given: Any) -> Any:
    """Run a statement that writes only where the claim still holds; its row. Raises Superseded."""
    row = (await connection.execute(text(statement), {"id": claimed.id, "epoch": claimed.epoch, **given})).one_or_none()
    if row is None:
        raise Superseded
    return row


async def _insert(
    connection: AsyncConnection, claimed: Claimed, begin: int, piece: Sequence[Chunk], sealed: Sequence[bytes]
) -> None:
    given = {
        "id": claimed.id,
        "number": list(range(begin, begin + len(piece))),
        "begins": [chunk.begins for chunk in piece],
        "ends": [chunk.ends for chunk in piece],
        "page": [chunk.page for chunk in piece],
        "text": list(sealed[begin : begin + len(piece)]),
    }
    await connection.execute(text(at_work.STORE), given)


async def _place(tx: Transaction, claimed: Claimed) -> None:
    """Give the document its place in the order of the base's changes, which is the order of their commits."""
    sequence = await tx.connection.scalar(text(at_work.NUMBERED), {"id": claimed.id})
    if sequence is None:
        raise VectorsDiffer
    await tx.connection.execute(text(at_work.PLACED), {"id": claimed.id, "sequence": sequence})
