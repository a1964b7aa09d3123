"""Where the events of a plan are read: the outboxes, or the archive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg

from penstock.replay.plan import Plan
from penstock_common.archive.damage import Damage
from penstock_common.archive.reading import archived_events
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import outbox_events, services_with_outbox
from penstock_common.ids import time_of
from penstock_common.objects_url import objects_at


@dataclass
class Source:
    """What a plan chose, in the order of the rows' ids."""

    plan: Plan
    connection: asyncpg.Connection
    damaged: dict[str, Damage] = field(default_factory=dict)
    """Parts of the archive that can't be read, once each, by what is told of them."""

    async def events(self, after: UUID | None = None) -> AsyncIterator[StoredEvent]:
        """From the first, or behind a row. Raises ObjectsUnavailable, and what asyncpg raises."""
        async for event in self._archived(after) if self.plan.archive else self._kept(after):
            yield event

    async def _kept(self, after: UUID | None) -> AsyncIterator[StoredEvent]:
        services = await services_with_outbox(self.connection)
        async for event in outbox_events(self.connection, services, self.plan.selection, after=after):
            yield event

    async def _archived(self, after: UUID | None) -> AsyncIterator[StoredEvent]:
        chosen = self.plan.selection
        if after:
            chosen = replace(chosen, since=time_of(after))
        async for event in archived_events(objects_at(self.plan.archive), chosen, self._report):
            if after is None or event.id > after:
                yield event

    def _report(self, damage: Damage) -> None:
        self.damaged[str(damage)] = damage
