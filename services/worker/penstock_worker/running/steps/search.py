"""Searches a knowledge base."""

from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.documents import BaseList, ChunksFound, ReadBases, SearchChunks
from penstock_common.tasks.declaration import SearchStep
from penstock_worker.domain.errors import SearchRefused
from penstock_worker.ports import Claimed, Journal, Queries, StepContext


class SearchRunner:
    """Gives `chunks`: text, document's name and id, page, place and score of each."""

    def __init__(self, queries: Queries) -> None:
        self.queries = queries

    async def run(self, step: SearchStep, context: StepContext, journal: Journal) -> Any:
        """Search. Raises SearchRefused, BusUnavailable, NoAnswer."""
        run = context.run
        base = await self._base(run, step.base, context.seconds)
        question = SearchChunks(base_id=base, tenant=run.tenant, key_id=run.key_id, text=step.text, limit=step.limit)
        found = await self.queries.ask(question, ChunksFound, context.seconds)
        if found.error_code:
            raise SearchRefused(f"{found.error} ({found.error_code})")
        return {"chunks": msgspec.to_builtins(found.chunks)}

    async def _base(self, run: Claimed, named: str, seconds: float) -> UUID:
        try:
            return UUID(named)
        except ValueError:
            known = await self.queries.ask(ReadBases(tenant=run.tenant, limit=1000), BaseList, seconds)
        for base in known.bases:
            if base.name == named:
                return base.base_id
        raise SearchRefused(f"there is no knowledge base called {named[:200]!r}")
