"""Events as they are said. They are read from the outboxes: those have what the bus has lost or was not given yet.

Ids tell when an event was made, not when its transaction ended, so that a row may appear behind others that were shown.
Young rows are looked at again and again; older ones of transactions that began lately are swept up now and then.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from penstock.events.source import CannotRead, reading
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import checked, events_by_id, outbox_events, services_with_outbox
from penstock_common.events.selection import Selection, first_id

PAUSE = 0.5  # seconds
AWAY = 1.0  # seconds between attempts at a database that is away
YOUNG = timedelta(seconds=5)
LATE = timedelta(minutes=15)
"""How old an id may be when its row appears: longer than any request may take."""
LONGEST = timedelta(seconds=60)
"""More than a transaction takes: statements are cut after five seconds, idle ones after three."""
SWEEP_EVERY = timedelta(seconds=5)
CHUNK = 256

NOW = "select clock_timestamp()"
YOUNG_ONES = "select id from {service}.outbox where day >= $1 and id >= $2 and {wanted}"
LATE_ONES = "select id from {service}.outbox where day >= $1 and id >= $2 and id < $3 and created_at >= $4 and {wanted}"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found, and where the next one goes on once all of it was shown."""

    found: Sequence[tuple[str, UUID]]
    """(service, id) of what was not shown, in the order of the ids."""
    at: datetime
    sweeps: bool


@dataclass(slots=True)
class Follower:
    """What was shown, and how far back has to be looked. All moments are the database's."""

    selection: Selection
    young: datetime
    """From where young rows are looked at."""
    swept: datetime
    """When the last sweep was."""
    shown: dict[UUID, datetime] = field(default_factory=dict)
    """Row id → when, of those that could be met again."""

    async def look(self, connection: asyncpg.Connection) -> Look:
        """Look for what was not shown."""
        now: datetime = await connection.fetchval(NOW)
        sweeps = now - self.swept >= SWEEP_EVERY
        found: list[tuple[str, UUID]] = []
        for service in await self._services(connection):
            ids = await self._ids(connection, YOUNG_ONES, service, [self.young.date(), first_id(self.young)])
            if sweeps:
                ids += await self._late_ones(connection, service, now)
            found += [(service, id_) for id_ in dict.fromkeys(ids) if id_ not in self.shown]
        return Look(sorted(found, key=lambda each: each[1]), now, sweeps)

    async def skip(self, connection: asyncpg.Connection) -> None:
        """What is there now and could be met again counts as shown."""
        for service in await self._services(connection):
            self.shown |= dict.fromkeys(await self._late_ones(connection, service, self.swept), self.swept)

    def advance(self, look: Look) -> None:
        """All that a look found was shown."""
        self.young = look.at - YOUNG
        self.swept = look.at if look.sweeps else self.swept
        # a row was created before it was shown: no sweep meets again what was shown before the first moment it asks for
        young, begins = first_id(self.young), self.swept - LONGEST
        for id_ in [id_ for id_, at in self.shown.items() if id_ < young and at < begins]:
            del self.shown[id_]

    async def _services(self, connection: asyncpg.Connection) -> list[str]:
        wanted = self.selection.services
        return [s for s in await services_with_outbox(connection) if not wanted or s in wanted]

    async def _late_ones(self, connection: asyncpg.Connection, service: str, now: datetime) -> list[UUID]:
        begins = now - LATE
        given: list[object] = [begins.date(), first_id(begins), first_id(self.young), self.swept - LONGEST]
        return await self._ids(connection, LATE_ONES, service, given)

    async def _ids(self, connection: asyncpg.Connection, sql: str, service: str, given: list[object]) -> list[UUID]:
        wanted = self.selection.conditions(given)
        return [row[0] for row in await connection.fetch(sql.format(service=checked(service), wanted=wanted), *given)]


async def followed(
    database: str, selection: Selection, told: Callable[[str], None], pause: float = PAUSE
) -> AsyncGenerator[StoredEvent]:
    """What is wanted from `selection.since` on, or from now, without end and each once.

    While the database is away it waits, which is told each time. Raises CannotRead where it can't be read at first.
    """
    async with reading(database) as connection:
        begins: datetime = await connection.fetchval(NOW)
        follower = Follower(replace(selection, since=None), begins, begins)
        if selection.since and selection.since < begins:
            async for event in _earlier(connection, replace(selection, until=begins)):
                if event.created_at >= begins - LONGEST:
                    follower.shown[event.id] = begins
                yield event
        else:
            await follower.skip(connection)
    while True:
        try:
            async with reading(database) as connection:
                while True:
                    async for event in _found(connection, follower):
                        yield event
                    await asyncio.sleep(pause)
        except CannotRead as error:
            told(f"{error.message} Waiting for it; nothing is left out.")
            await asyncio.sleep(AWAY)


async def _earlier(connection: asyncpg.Connection, selection: Selection) -> AsyncIterator[StoredEvent]:
    services = await services_with_outbox(connection)
    async for event in outbox_events(connection, services, selection, bodies=False):
        yield event


async def _found(connection: asyncpg.Connection, follower: Follower) -> AsyncIterator[StoredEvent]:
    """One look's; what the database can't give any more is looked for again."""
    look = await follower.look(connection)
    for chunk in chunks(look.found):
        for event in await _fetched(connection, chunk):
            follower.shown[event.id] = look.at
            yield event
    follower.advance(look)


def chunks(found: Sequence[tuple[str, UUID]]) -> list[Sequence[tuple[str, UUID]]]:
    """In pieces that are read at once."""
    return [found[start : start + CHUNK] for start in range(0, len(found), CHUNK)]


async def _fetched(connection: asyncpg.Connection, chunk: Sequence[tuple[str, UUID]]) -> list[StoredEvent]:
    by_service: dict[str, list[UUID]] = {}
    for service, id_ in chunk:
        by_service.setdefault(service, []).append(id_)
    events = [e for service, ids in by_service.items() for e in await events_by_id(connection, service, ids)]
    return sorted(events, key=lambda event: event.id)
