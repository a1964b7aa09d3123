"""What outboxes hold that somebody still has to handle: all that a bus has to be given again."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from penstock.moving.handled import Records, inbox_id
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import outbox_events, services_with_outbox
from penstock_common.events.selection import Selection
from penstock_common.messaging.topology import ONLY, Topology

PAGE = 1000  # events of which the records are asked at once


@dataclass
class Tally:
    """Events that have consumers, counted by topic."""

    looked_at: Counter[str] = field(default_factory=Counter)
    """All that were published."""
    owed: Counter[str] = field(default_factory=Counter)
    """Those that a consumer neither handled nor buried, younger than the horizon."""
    older: Counter[str] = field(default_factory=Counter)
    """The same, but older than the horizon: they are left alone."""
    untold: Counter[str] = field(default_factory=Counter)
    """Those so old that no inbox can tell any more."""
    consumers: Counter[str] = field(default_factory=Counter)
    """What is owed, by consumer."""


@dataclass(frozen=True)
class Horizon:
    """How far back a bus reaches: `since` for every stream, else as long as each of them keeps messages."""

    now: datetime
    topology: Topology
    since: datetime | None = None

    def reaches(self, event: StoredEvent) -> bool:
        """Whether the bus would still have it."""
        return event.at >= (self.since or self.now - timedelta(seconds=self._ages.get(event.stream, 0)))

    @property
    def _ages(self) -> Mapping[str, float]:
        return {stream.name: stream.max_age for stream in self.topology.streams}


async def owed(records: Records, horizon: Horizon, tally: Tally) -> AsyncIterator[Sequence[StoredEvent]]:
    """Pages of events without bodies, oldest first, that the bus has to be given again; `tally` is kept meanwhile.

    Every one that was published is looked at, also beyond the horizon. Raises asyncpg's errors.
    """
    subjects = {consumer.topic.subject for consumer in records.topology.consumers}
    selection = Selection(until=horizon.now, subjects=(*sorted(subjects), f"{ONLY}>"))
    services = await services_with_outbox(records.connection)
    page: list[StoredEvent] = []
    async for event in outbox_events(records.connection, services, selection, bodies=False):
        if event.published_at:  # what is not is the relay's
            page.append(event)
        if len(page) == PAGE:
            yield await _chosen(records, horizon, tally, page)
            page = []
    yield await _chosen(records, horizon, tally, page)


async def _chosen(
    records: Records, horizon: Horizon, tally: Tally, page: Sequence[StoredEvent]
) -> Sequence[StoredEvent]:
    wanting, chosen = await records.owed(page), []
    for event in page:
        tally.looked_at[event.topic] += 1
        id_ = inbox_id(event)
        unhandled = [c for c in records.consumers_of(event) if id_ in wanting.get(c.name, ())]
        if not unhandled:
            continue
        if not all([await records.can_tell(consumer, id_) for consumer in unhandled]):
            tally.untold[event.topic] += 1
        elif not horizon.reaches(event):
            tally.older[event.topic] += 1
        else:
            tally.owed[event.topic] += 1
            tally.consumers.update(consumer.name for consumer in unhandled)
            chosen.append(event)
    return chosen
