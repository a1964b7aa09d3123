"""Answers searches: candidates from the indexes, the truth about them from PostgreSQL."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from penstock_common.asking import AskFailed
from penstock_common.contracts.documents import ChunkFound, ChunksFound, SearchChunks, SearchMode
from penstock_common.db.transaction import Database
from penstock_common.errors import PenstockError
from penstock_common.sealing import Sealer
from penstock_indexer.adapters.embedder import BusEmbedder
from penstock_indexer.adapters.index.base_index import BaseIndex, Found
from penstock_indexer.adapters.index.changes import Base
from penstock_indexer.adapters.index.entries import number_of, slot_of
from penstock_indexer.adapters.index.shelf import Shelf
from penstock_indexer.adapters.secrets import text_context
from penstock_indexer.adapters.shown import opened_name
from penstock_indexer.domain.errors import BaseNotFound, EmbeddingUnavailable, SearchBroken
from penstock_indexer.domain.ranking import fused
from penstock_indexer.metrics import SEARCH_SECONDS, SEARCHES

log = structlog.get_logger()

LIMIT = 50  # chunks an answer
SPARE = 4  # candidates for each chunk wanted: some are gone by now, and two rankings differ
LEAST = 40  # candidates
EMBED_SECONDS = 8.0

SLOTS = """
select slot from indexer.documents where base_id = :base_id and id = any(cast(:ids as uuid[])) and state = 'indexed'
"""
CHUNKS = """
select d.slot, c.number, d.id as document_id, d.sealed_name, c.sealed_text, c.begins, c.ends, c.page
from unnest(cast(:slots as bigint[]), cast(:numbers as int[])) as g(slot, number)
join indexer.documents d on d.slot = g.slot and d.base_id = :base_id and d.tenant = :tenant and d.state = 'indexed'
join indexer.chunks c on c.document_id = d.id and c.number = g.number
"""


class Search:
    """Finds chunks. Only what PostgreSQL shows as indexed, in this base of this tenant, is ever given."""

    def __init__(self, database: Database, sealer: Sealer, shelf: Shelf, embedder: BusEmbedder) -> None:
        self.database, self.sealer, self.shelf, self.embedder = database, sealer, shelf, embedder

    async def answer(self, question: SearchChunks) -> ChunksFound:
        """The best chunks, or the code and sentence that say why there are none."""
        with SEARCH_SECONDS.time():
            try:
                answer, outcome = ChunksFound(chunks=await self.find(question)), "answered"
            except PenstockError as error:
                answer, outcome = ChunksFound(error_code=error.code, error=error.message), "refused"
            except Exception:
                log.exception("search.broken", base_id=str(question.base_id))
                broken = SearchBroken()
                answer, outcome = ChunksFound(error_code=broken.code, error=broken.message), "broken"
        SEARCHES.labels(outcome).inc()
        return answer

    async def find(self, question: SearchChunks) -> list[ChunkFound]:
        """The best first. Raises BaseNotFound, EmbeddingUnavailable, IndexNotReady, DatabaseUnavailable."""
        base = await self.shelf.changes.base(question.base_id)
        if base is None or base.tenant != question.tenant:
            raise BaseNotFound
        limit = min(max(question.limit, 1), LIMIT)
        slots = await self._slots(base, question.document_ids)
        index = await self.shelf.current(base)
        found = await self._candidates(question, base, index, max(limit * SPARE, LEAST), slots)
        return await self._shown(base, found, limit)

    async def _candidates(
        self, question: SearchChunks, base: Base, index: BaseIndex, limit: int, slots: Sequence[int] | None
    ) -> Found:
        if question.mode is SearchMode.VECTOR:
            return await index.by_vector(await self._vector(question, base), limit, slots)
        tokens = await asyncio.to_thread(self.shelf.changes.tokens.of_question, base.tenant, question.text)
        words = await index.by_words(tokens, limit, slots)
        if question.mode is SearchMode.WORDS:
            return words
        return fused((await index.by_vector(await self._vector(question, base), limit, slots), words))

    async def _vector(self, question: SearchChunks, base: Base) -> bytes:
        try:
            return await self.embedder.embed_query(
                base.tenant, question.key_id, base.model, question.text, EMBED_SECONDS
            )
        except AskFailed as error:
            raise EmbeddingUnavailable(
                f"The model {base.model} gave no vector: {error.message} Searching by words works meanwhile."
            ) from error

    async def _slots(self, base: Base, document_ids: Sequence[UUID]) -> list[int] | None:
        if not document_ids:
            return None
        async with self.database.reading() as connection:
            given = {"base_id": base.id, "ids": list(document_ids)}
            return list((await connection.scalars(text(SLOTS), given)).all())

    async def _shown(self, base: Base, found: Found, limit: int) -> list[ChunkFound]:
        ids = [id_ for id_, _ in found]
        given = {"slots": [slot_of(i) for i in ids], "numbers": [number_of(i) for i in ids]}
        async with self.database.reading() as connection:
            rows = (await connection.execute(text(CHUNKS), {**given, "base_id": base.id, "tenant": base.tenant})).all()
        there = {(row.slot, row.number): row for row in rows}
        placed = [(there.get((slot_of(id_), number_of(id_))), score) for id_, score in found]
        return [self._chunk(row, score) for row, score in placed if row is not None][:limit]

    def _chunk(self, row: Any, score: float) -> ChunkFound:
        sealed_text = self.sealer.open(text_context(row.document_id, row.number), row.sealed_text)
        name = opened_name(self.sealer, dict(row._mapping))
        return ChunkFound(row.document_id, name, sealed_text.decode(), score, row.begins, row.ends, row.page)
