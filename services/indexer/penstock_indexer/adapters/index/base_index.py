"""Both indexes of one knowledge base, kept in step with PostgreSQL."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec
from uuid import UUID

from penstock_common.sealing import Sealer
from penstock_indexer.adapters.index.changes import Base, Changes
from penstock_indexer.adapters.index.entries import Change
from penstock_indexer.adapters.index.vectors import VectorIndex
from penstock_indexer.adapters.index.words import WordIndex

P = ParamSpec("P")
Found = list[tuple[int, float]]
"""(chunk id, score), the best first."""


class BaseIndex:
    """Searches go on between the pieces of a change; what is served is at most one change behind."""

    def __init__(self, folder: Path, base_id: UUID, tenant: UUID, sealer: Sealer) -> None:
        self.folder = folder
        self.vectors = VectorIndex(folder / "vectors.faiss", base_id, tenant, sealer)
        self.words = WordIndex(folder / "words")
        self._using, self._following = asyncio.Lock(), asyncio.Lock()

    @property
    def sequence(self) -> int:
        """What both contain."""
        return min(self.vectors.sequence, self.words.sequence)

    async def load(self) -> None:
        """Open what lies on disk; what is missing or damaged begins anew."""
        await asyncio.to_thread(self._load)

    async def follow(self, base: Base, changes: Changes) -> None:
        """Take over all that happened until the base's sequence. Raises DatabaseUnavailable, SubjectErased."""
        async with self._following:
            if self.sequence > base.sequence:  # the database was set back
                await self._locked(self._clear)
            while change := await changes.after(base, self.sequence):
                await self._locked(self._apply, change)

    async def by_vector(self, vector: bytes, limit: int, slots: Sequence[int] | None) -> Found:
        """The nearest chunks by cosine."""
        async with self._using:
            return await asyncio.to_thread(self.vectors.search, vector, limit, slots)

    async def by_words(self, tokens: Sequence[str], limit: int, slots: Sequence[int] | None) -> Found:
        """The best chunks by BM25."""
        async with self._using:
            return await asyncio.to_thread(self.words.search, tokens, limit, slots)

    async def save(self) -> None:
        """Bring to disk what is not there yet."""
        await self._locked(self.vectors.save)

    async def remove(self) -> None:
        """Leave nothing on disk."""
        await self._locked(shutil.rmtree, self.folder, True)

    async def _locked(self, work: Callable[P, object], *given: P.args, **named: P.kwargs) -> None:
        async with self._using:
            await asyncio.to_thread(work, *given, **named)

    def _load(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.vectors.load() and self.words.load()):
            self._clear()

    def _clear(self) -> None:
        self.vectors.clear()
        self.words.clear()

    def _apply(self, change: Change) -> None:
        self.vectors.apply(change)
        self.words.apply(change)
