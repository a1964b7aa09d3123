"""What the archive asks of PostgreSQL: how far an outbox is settled, and who archives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import asyncpg

from penstock_common.db.migrate import LOCK
from penstock_common.events.event import ASKING, StoredEvent
from penstock_common.events.outbox import outbox_events
from penstock_common.events.selection import Selection
from penstock_common.messaging.topology import Kind

ARCHIVE_LOCK = LOCK + 1
CONNECT_SECONDS = 5.0
SESSION = {"statement_timeout": "60000", "lock_timeout": "2000"}
EVENTS = frozenset({Kind.EVENT})

# Whoever begins a transaction makes its ids after that, but for ends that were held back while the database was away:
# those come late, and are found when their day is compared. `usename`: only a service's own role writes its outbox.
SETTLED = """
select least(now(), min(xact_start)) - make_interval(secs => $1) from pg_stat_activity
where usename = current_user and datname = current_database() and pid <> pg_backend_pid()
"""
NOT_ASKING = " and ".join(f"not starts_with(subject, '{prefix}')" for prefix in ASKING)
LOOK = f"""
select least(now(), min(xact_start)) - make_interval(secs => :settle) as settled,
       (select id from {{schema}}.outbox where day >= :day and (day, id) > (:day, :seen) and {NOT_ASKING}
        order by day, id limit 1) as first
from pg_stat_activity where usename = current_user and datname = current_database() and pid <> pg_backend_pid()
"""
COUNT = f"select count(*) from {{schema}}.outbox where day = $1 and id <= $2 and {NOT_ASKING}"


@dataclass(frozen=True, slots=True)
class Source:
    """A service's outbox, read by a session that holds the right to archive it."""

    connection: asyncpg.Connection
    service: str

    async def settled(self, seconds: float) -> datetime:
        """The moment before which no transaction under way makes ids: `seconds` before the oldest of them began."""
        at: datetime = await self.connection.fetchval(SETTLED, seconds)
        return at

    def events(self, until: datetime, after: UUID | None, since: datetime | None = None) -> AsyncIterator[StoredEvent]:
        """Events up to a moment, behind an id; pages of bounded size."""
        wanted = Selection(since=since, until=until, kinds=EVENTS)
        return outbox_events(self.connection, [self.service], wanted, after=after)

    def ids(self, day: date, until: datetime) -> AsyncIterator[StoredEvent]:
        """A day's events without their bodies."""
        wanted = Selection(since=begin(day), until=min(until, begin(day + timedelta(days=1))), kinds=EVENTS)
        return outbox_events(self.connection, [self.service], wanted, bodies=False)

    async def count(self, day: date, last: UUID) -> int:
        """How many events of a day the outbox holds up to an id."""
        found: int = await self.connection.fetchval(COUNT.format(schema=self.service), day, last)
        return found

    async def event(self, id_: UUID) -> StoredEvent:
        """An event whole, by its id. Raises StopAsyncIteration where it is gone."""
        just_before = UUID(int=id_.int - 1)
        found = outbox_events(self.connection, [self.service], Selection(kinds=EVENTS), after=just_before, limit=1)
        return await anext(found)


def begin(day: date) -> datetime:
    """Its first moment."""
    return datetime.combine(day, time(), UTC)


@asynccontextmanager
async def archiving(url: str, service: str) -> AsyncIterator[Source | None]:
    """A session with the sole right to archive a service until it ends; None where another process has it.

    Raises OSError, TimeoutError, asyncpg's errors.
    """
    settings = {**SESSION, "application_name": f"penstock-{service}-archive"}
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=settings)
    try:
        mine = await connection.fetchval("select pg_try_advisory_lock($1, hashtext($2))", ARCHIVE_LOCK, service)
        yield Source(connection, service) if mine else None
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
