"""Tells webhooks of requests that have ended: each starts one run of its task, however often this is tried."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, text

from penstock_api import metrics
from penstock_api.domain.hooks import HookNotFound
from penstock_api.ports.hooks import Hooks
from penstock_common.db.transaction import Database
from penstock_common.periodic import Periodic

log = structlog.get_logger()

LOOK_SECONDS = 1.0
MOST = 2_000
TYPE = "inference.completed"

ANY = "select exists (select from api.completion_hooks)"
ENDED = text("""
select w.request_id, w.tenant, w.hook_id, w.depth, r.status, r.model, r.lane, r.attempt, r.prompt_tokens,
  r.completion_tokens, r.accepted_at, r.ended_at
from (select * from api.completion_hooks where request_id > :after order by request_id limit :most) w
left join api.requests r using (request_id)
order by w.request_id
""")
"""A part of those that wait, from the oldest on; without a status where nothing is known."""
FORGET = text("delete from api.completion_hooks where request_id = :request_id")
FIRST = UUID(int=0)


@dataclass
class CompletionHooks:
    """Looks for ends that somebody wants to hear of; several processes that do it do no harm."""

    database: Database
    hooks: Hooks
    _after: UUID = field(default=FIRST, init=False)

    def __post_init__(self) -> None:
        self.telling = Periodic(LOOK_SECONDS, self.look, "completions.untold")

    async def look(self) -> None:
        """Tell what has ended of the next part. Raises DatabaseUnavailable."""
        if not await self.database.finds(ANY):
            return
        async with self.database.reading() as connection:
            rows = (await connection.execute(ENDED, {"after": self._after, "most": MOST})).all()
        self._after = rows[-1].request_id if len(rows) == MOST else FIRST
        for row in rows:
            if row.status not in (None, "accepted"):
                await self._tell(row)

    async def _tell(self, row: Row[Any]) -> None:
        """Order the run, then forget: who dies between the two finds its run ordered already."""
        outcome = "told"
        try:
            hook = await self.hooks.find(row.tenant, row.hook_id)
            await self.hooks.order_run(hook, str(row.request_id), delivery_of(row), row.depth)
        except HookNotFound:
            outcome = "removed"
        async with self.database.reading() as connection:
            await connection.execute(FORGET, {"request_id": row.request_id})
        metrics.COMPLETIONS.labels(outcome).inc()
        log.info("completion.told", request_id=str(row.request_id), hook_id=str(row.hook_id), outcome=outcome)


def at_end(row: Row[Any]) -> datetime:
    """When it ended."""
    ended_at: datetime | None = row.ended_at
    return ended_at or datetime.now(UTC)


def event_of(row: Row[Any]) -> dict[str, Any]:
    """The end of a request in the form of Standard Webhooks; ids and counts, no text."""
    data = {
        "id": str(row.request_id),
        "state": row.status,
        "model": row.model,
        "lane": row.lane,
        "attempts": row.attempt,
        "tokens": {"prompt": row.prompt_tokens, "completion": row.completion_tokens},
        "accepted_at": row.accepted_at.isoformat(),
        "ended_at": at_end(row).isoformat(),
    }
    return {"type": TYPE, "timestamp": at_end(row).isoformat(), "data": data}


def delivery_of(row: Row[Any]) -> dict[str, Any]:
    """What the run is given: as of any delivery."""
    headers = {
        "content-type": "application/json",
        "webhook-id": str(row.request_id),
        "webhook-timestamp": str(int(at_end(row).timestamp())),
    }
    return {"headers": headers, "body": event_of(row), "delivery_id": str(row.request_id)}
