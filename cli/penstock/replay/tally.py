"""What a replay would do: how many events of which topic reach which consumer, and what their inboxes would skip."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from penstock.replay.plan import TOPICS, is_copy
from penstock.replay.source import Source
from penstock_common.db.inbox import day
from penstock_common.errors import ContractViolated
from penstock_common.events.event import StoredEvent
from penstock_common.messaging.topology import Consumer

PAGE = 512
HANDLED = """
select count(*) from unnest($2::date[], $3::text[]) as g(day, message_id)
join {service}.inbox i on i.day = g.day and i.message_id = g.message_id
where i.consumer = $1
"""


@dataclass
class Share:
    """One consumer's part."""

    events: int = 0
    handled: int | None = 0
    """Of these, how many its inbox knows and would skip; None where a record of its own decides."""


@dataclass
class Tally:
    """Exact counts."""

    topics: Counter[str] = field(default_factory=Counter)
    consumers: dict[str, Share] = field(default_factory=dict)
    unpublished: int = 0
    """Selected, but the bus has not had them yet: their service publishes them by itself."""
    unknown: Counter[str] = field(default_factory=Counter)
    """By topics that this version does not know: not said again."""
    damaged: list[str] = field(default_factory=list)
    """What of the archive can't be read, and is not counted."""

    @property
    def events(self) -> int:
        """How many messages leave."""
        return self.topics.total()

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "events": self.events,
            "topics": dict(sorted(self.topics.items())),
            "consumers": {
                name: {"events": share.events, "would_skip": share.handled}
                for name, share in sorted(self.consumers.items())
            },
            "unpublished": self.unpublished,
            "unknown": dict(self.unknown),
            "damaged": self.damaged,
        }


async def tally(source: Source, after: UUID | None = None) -> Tally:
    """Count what a plan says again, or what is left behind a row. Raises ObjectsUnavailable, asyncpg's errors."""
    counted, page, plan = Tally(), list[StoredEvent](), source.plan
    async for event in source.events(after):
        if plan.wants(event):
            counted.topics[event.subject] += 1
            page.append(event)
        elif event.subject not in TOPICS:
            counted.unknown[event.subject] += not is_copy(event)
        elif event.published_at is None and not plan.archive:
            counted.unpublished += 1
        if len(page) == PAGE:
            await _share(source, page, counted)
            page = []
    await _share(source, page, counted)
    counted.unknown = +counted.unknown
    counted.damaged = list(source.damaged)
    return counted


async def _share(source: Source, page: Sequence[StoredEvent], counted: Tally) -> None:
    for subject in sorted({event.subject for event in page}):
        ids = [event.message_id for event in page if event.subject == subject]
        for lane in source.plan.lanes(subject):
            share = counted.consumers.setdefault(lane.name, Share())
            share.events += len(ids)
            if share.handled is not None and lane.has_inbox:
                share.handled += await _handled(lane, ids, source.connection)
            else:
                share.handled = None


async def _handled(lane: Consumer, ids: Sequence[str], connection: asyncpg.Connection) -> int:
    timed = [(moment, id_) for id_ in ids if (moment := _day(id_))]
    given = [moment for moment, _ in timed], [id_ for _, id_ in timed]
    known: int = await connection.fetchval(HANDLED.format(service=lane.service), lane.inbox_name, *given)
    return known


def _day(message_id: str) -> Any:
    try:
        return day(message_id)
    except ContractViolated:
        return None
