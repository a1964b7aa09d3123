"""Reads `api.requests`: what this service wrote of a request, of the last seconds not yet everything."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from penstock_api.domain.errors import AnswerLost
from penstock_api.ports.generations import QUEUED, Known
from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import About, GenerationState, Outcome, Tokens
from penstock_common.db.transaction import Database
from penstock_common.errors import BusUnavailable
from penstock_common.gathering import Gathering

MOST = 256  # requests in one question
LATE = timedelta(seconds=60)  # after its deadline, of a request that nobody knows of

FIND = """
select request_id, tenant, key_id, model, streamed, lane, status, attempt, prompt_tokens, completion_tokens,
  decisions::text, accepted_at, deadline, ended_at
from {schema}.requests where request_id = any($1)
"""
UNENDED = {
    "refused": (Outcome.FAILED.value, BusUnavailable.code),
    "lost": (Outcome.LOST.value, AnswerLost.code),
}
"""What this service wrote of requests whose end inference never recorded: their outcome and its cause."""
UNRECORDED = frozenset(("accepted", *UNENDED))


class RequestHistory:
    """Keeps no answers, and of what its client asked for no more than the model. Raises DatabaseUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self._find = FIND.format(schema=database.schema)
        self._rows: Gathering[UUID, asyncpg.Record] = Gathering(self._read, most=MOST)

    async def find(self, request_id: UUID) -> Known | None:
        """What is known of a request, its end guessed where nobody told it."""
        row = await self._rows.find(request_id)
        return None if row is None else known_of(row, self.clock.now())

    async def ended(self, request_id: UUID) -> Known | None:
        """A request whose end inference told."""
        row = await self._rows.find(request_id)
        return None if row is None or row["status"] in UNRECORDED else known_of(row, self.clock.now())

    async def _read(self, request_ids: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
        return {row["request_id"]: row for row in await self.database.direct.fetch(self._find, request_ids)}


def known_of(row: Any, now: datetime) -> Known:
    """A row of the history, its columns by their names."""
    status, deadline = row["status"], row["deadline"]
    if status == "accepted" and deadline is not None and now > deadline + LATE:
        status = "lost"
    outcome, error_code = UNENDED.get(status, (QUEUED if status == "accepted" else status, ""))
    state = GenerationState(
        request_id=row["request_id"],
        outcome=outcome,
        attempt=row["attempt"],
        tokens=Tokens(row["prompt_tokens"], row["completion_tokens"]) if row["attempt"] else None,
        error_code=error_code,
        ended_at=row["ended_at"],
        decisions=msgspec.json.decode(row["decisions"], type=list[Decision]),
    )
    about = About(
        tenant=row["tenant"],
        key_id=row["key_id"],
        model=row["model"],
        asked=row["model"],
        streamed=row["streamed"],
        includes_usage=False,
        accepted_at=row["accepted_at"],
        deadline=deadline or row["accepted_at"],
        lane=row["lane"],
    )
    return Known(about, state, is_complete=False)
