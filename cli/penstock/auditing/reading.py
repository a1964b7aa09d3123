"""Reads outboxes, inboxes and dead letters in one snapshot."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg

from penstock.auditing import statements as sql
from penstock.auditing.judging import Open
from penstock.auditing.notes import Odd, first_at, first_of
from penstock.auditing.records import Record
from penstock_common.ids import day_made

DAY = timedelta(days=1)
LAST_DAY = date(9998, 12, 31)
MOMENT = 13  # characters of a uuid7 that are its time


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one day of a service's outbox, by row id."""

    service: str
    day: date
    first: UUID
    end: UUID
    """The first id that is too late."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a consumer lacks of a span."""

    count: int
    entries: Sequence[Open]
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A set of messages: two that are equal hold the same ones, each once."""

    count: int = 0
    hashes: int = 0
    """The sum over all of them."""

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(self.count + other.count, self.hashes + other.hashes)


Parts = Mapping[str, Digest]
"""A day's messages by the part of the day in which their ids were made: the first digits of those ids."""
ELSEWHEN = ""
"""Stands for the part of ids that were made on another day."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of clients that wait."""

    asked: int
    ended: int
    overdue: Sequence[UUID]


class Reader:
    """One snapshot of all schemas."""

    def __init__(self, connection: asyncpg.Connection, now: datetime, outboxes: Mapping[str, date]) -> None:
        self._connection = connection
        self.now = now
        """By the database's clock, as all that it keeps."""
        self.services = list(outboxes)
        self.kept_since = max(outboxes.values(), default=now.date())
        """From this day on no outbox was dropped."""

    async def counts(self, span: Span) -> dict[str, int]:
        """Messages of a span by subject."""
        statement = sql.COUNTS.format(service=span.service)
        rows = await self._connection.fetch(statement, span.day, span.first, span.end)
        return {row["subject"]: row["count"] for row in rows}

    async def unhandled(self, record: Record, span: Span, rows_there: int) -> Found:
        """What a consumer lacks of a span that has about so many messages for it."""
        statement = sql.unhandled(record, span.service, rows=sql.SPAN, many=rows_there > sql.FEW)
        near = [span.day - DAY, span.day, span.day + DAY]
        given = (near, record.name, span.day, span.first, span.end, record.subjects)
        rows = await self._connection.fetch(statement, *given)
        return Found(rows[0]["found"] if rows else 0, [_entry(record, span.service, row) for row in rows])

    async def doubtful(self, record: Record, span: Span, first: date, parts: Collection[str], rows_there: int) -> Found:
        """The same, of those messages alone whose ids were made in these parts of a day, or before the first day."""
        statement = sql.unhandled(record, span.service, rows=sql.DOUBTFUL, many=rows_there > sql.FEW)
        near = [span.day - DAY, span.day, span.day + DAY]
        bounds = (first_text(first), first_text(span.day + DAY))
        given = (near, record.name, span.day, span.first, span.end, record.subjects, *bounds, list(parts))
        rows = await self._connection.fetch(statement, *given)
        return Found(rows[0]["found"] if rows else 0, [_entry(record, span.service, row) for row in rows])

    async def still_unhandled(self, record: Record, service: str, entries: Sequence[Open]) -> Sequence[Open]:
        """Those of some entries that a consumer still lacks, each as it is now."""
        statement = sql.unhandled(record, service, rows=sql.ROWS)
        keys = [day_made(entry.id) for entry in entries], [entry.id for entry in entries]
        rows = await self._connection.fetch(statement, sorted(set(keys[0])), record.name, *keys)
        return [_entry(record, service, row) for row in rows]

    async def began(self, record: Record) -> date | None:
        """The day before a consumer's first word, but none before its first message; None where it never said any."""
        row = await self._connection.fetchrow(sql.BEGAN.format(service=record.consumer.service), record.name)
        return max(row["day"], row["handled"] - DAY) if row and row["day"] else None

    async def buried(self) -> dict[str, int]:
        """Dead letters by consumer."""
        return {row["consumer"]: row["count"] for row in await self._connection.fetch(sql.BURIED)}

    async def dead(self, record: Record, since: date) -> int:
        """Messages from a day on that lie among a consumer's dead letters."""
        count: int = await self._connection.fetchval(sql.dead(record), record.name, since, LAST_DAY)
        return count

    async def requests(self, since: datetime) -> Requests:
        """What clients that wait asked from a moment on."""
        row = await self._connection.fetchrow(sql.REQUESTS, first_at(since), first_of(LAST_DAY))
        assert row
        return Requests(row["asked"], row["ended"], row["overdue"] or ())

    async def said(self, service: str, day: date) -> dict[tuple[str, date], Parts]:
        """A day of an outbox, by subject and the day of the ids, where that is the same or the one before.

        What has ids of yet another day is among those of the day itself, as a part of its own.
        """
        bounds = [first_text(day - DAY), first_text(day), first_text(day + DAY)]
        found: dict[tuple[str, date], dict[str, Digest]] = {}
        for row in await self._connection.fetch(sql.SAID_BY_DAY.format(service=service), *bounds, day):
            made = day if row["part"] is None else day - row["before"] * DAY
            _add(found.setdefault((row["subject"], made), {}), row)
        return dict(found)

    async def arrived(self, service: str, day: date) -> dict[str, Parts]:
        """What a service's inbox has of a day, by consumer."""
        bounds = [first_text(day), first_text(day + DAY)]
        found: dict[str, dict[str, Digest]] = {}
        for row in await self._connection.fetch(sql.ARRIVED.format(service=service), *bounds, day):
            _add(found.setdefault(row["consumer"], {}), row)
        return dict(found)

    async def unsaid(self, record: Record, day: date, speakers: Sequence[str]) -> list[Odd]:
        """Messages with an id of this day that a consumer handled and nobody said.

        `speakers` are the services that said something of its topic then or on the day after.
        """
        nowhere = " ".join(sql.NOWHERE.format(service=speaker) for speaker in speakers)
        statement = sql.UNSAID.format(service=record.consumer.service, nowhere=nowhere, most=sql.MOST)
        given = ([day, day + DAY], record.subject) if speakers else ()
        rows = await self._connection.fetch(statement, day, record.name, *given)
        left = {row["message_id"] for row in rows}
        for service in self.services if left else ():
            later = sql.SAID_LATER.format(service=service)
            known = await self._connection.fetch(later, day - DAY, record.subject, list(left))
            left -= {row["message_id"] for row in known}
        return [Odd(record.name, id_, day) for id_ in sorted(left)]

    async def misplaced(self, service: str, day: date) -> list[Odd]:
        """What lies in this day of a service's inbox, and is of another by its id."""
        statement = sql.MISPLACED.format(service=service, most=sql.MOST)
        rows = await self._connection.fetch(statement, first_text(day), first_text(day + DAY), day)
        return [Odd(row["consumer"], row["message_id"], day) for row in rows]

    async def twice(self, service: str, day: date, subjects: Sequence[str]) -> list[Odd]:
        """What an outbox has twice of these topics."""
        statement = sql.TWICE.format(service=service, most=sql.MOST)
        rows = await self._connection.fetch(statement, day, list(subjects))
        return [Odd(row["subject"], row["message_id"], day) for row in rows]


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection) -> AsyncIterator[Reader]:
    """Everything as it is at this moment; raises asyncpg's errors."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(sql.SETTINGS)
        now: datetime = await connection.fetchval("select now()")
        rows = await connection.fetch(sql.OUTBOXES)
        today = now.astimezone(UTC).date()
        outboxes = {row["service"]: _day(row["since"]) or today for row in rows}
        yield Reader(connection, now.astimezone(UTC), outboxes)


def first_text(day: date) -> str:
    """What the ids of a day, as text, are not below."""
    return str(first_of(day))[:MOMENT]


def _add(parts: dict[str, Digest], row: asyncpg.Record) -> None:
    part = row["part"] or ELSEWHEN
    parts[part] = parts.get(part, Digest()) + Digest(row["count"], int(row["digest"]))


def _day(digits: str | None) -> date | None:
    return date.fromisoformat(digits) if digits else None


def _entry(record: Record, service: str, row: asyncpg.Record) -> Open:
    return Open(
        consumer=record.name,
        service=service,
        id=row["id"],
        message_id=row["said"],
        subject=row["subject"],
        published_at=row["published_at"],
        at_work=row["at_work"],
    )
