"""Reads the services' outboxes as one sequence in the order of time; pages of bounded size, nothing is written."""

import heapq
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import msgspec

from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import Selection
from penstock_common.ids import day_made

PAGE_ROWS = 256
PAGE_BYTES = 4 << 20
"""Bodies of one page, but for its last one."""
SERVICE = re.compile(r"[a-z][a-z_]{0,30}")

WITH_OUTBOX = """
select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = 'outbox' and c.relkind = 'p' and has_table_privilege(c.oid, 'select') order by 1
"""
PAGE = """
select day, id, subject, stream, message_id, headers, created_at, published_at, found, {body} as body from (
    select *, count(*) over () as found,
           sum({size}) over (order by day {way}, id {way}) - {size} as before
    from (
        select * from {service}.outbox where {conditions} order by day {way}, id {way} limit {rows}
    ) page
) sized where before < {most} order by day {way}, id {way}
"""

BY_ID = """
select day, id, subject, stream, message_id, headers, created_at, published_at, ''::bytea as body
from {service}.outbox where day = any($1::date[]) and id = any($2::uuid[])
"""

_headers = msgspec.json.Decoder(dict[str, str]).decode


async def services_with_outbox(connection: asyncpg.Connection) -> list[str]:
    """The services whose outboxes this role may read, by name."""
    return [str(row[0]) for row in await connection.fetch(WITH_OUTBOX)]


async def outbox_events(  # noqa: PLR0913 (one sequence: from where, which way, how many, how much of each)
    connection: asyncpg.Connection,
    services: Sequence[str],
    selection: Selection,
    *,
    after: UUID | None = None,
    limit: int | None = None,
    backwards: bool = False,
    bodies: bool = True,
) -> AsyncIterator[StoredEvent]:
    """What is wanted of these services' outboxes, by the rows' ids: oldest first, or newest first with `backwards`.

    `after` is the id of the event behind which to go on. Without `bodies` each body is empty. Each page is a statement
    of its own: who needs one moment for all opens a repeatable read transaction first. Raises asyncpg's errors.
    """
    wanted = [s for s in services if not selection.services or s in selection.services]
    ask = _Ask(selection, min(PAGE_ROWS, limit) if limit else PAGE_ROWS, backwards, bodies)
    readers = [_Reader(connection, service, ask, after) for service in wanted]
    heads = [reader.place() for reader in readers if await reader.filled()]
    heapq.heapify(heads)
    given = 0
    while heads and given != limit:
        reader = heads[0][1]
        yield reader.page.popleft()
        given += 1
        if given == limit:
            return
        if await reader.filled():
            heapq.heapreplace(heads, reader.place())
        else:
            heapq.heappop(heads)


@dataclass(frozen=True, slots=True)
class _Ask:
    """What is asked of each outbox, a page at a time."""

    selection: Selection
    rows: int
    """Of one page, at most."""
    backwards: bool
    bodies: bool

    def statement(self, service: str, conditions: str) -> str:
        """The next page."""
        return PAGE.format(
            service=service,
            conditions=conditions,
            rows=self.rows,
            most=PAGE_BYTES,
            way="desc" if self.backwards else "asc",
            body="body" if self.bodies else "''::bytea",
            size="octet_length(body)" if self.bodies else "0",
        )


async def events_by_id(connection: asyncpg.Connection, service: str, ids: Sequence[UUID]) -> list[StoredEvent]:
    """Those of these rows that one service's outbox has, without their bodies, in no order."""
    days = sorted({day_made(id_) for id_ in ids})
    rows = await connection.fetch(BY_ID.format(service=checked(service)), days, list(ids))
    return [stored(service, row) for row in rows]


def checked(service: str) -> str:
    """The name, fit to stand in a statement. Raises ValueError."""
    if not SERVICE.fullmatch(service):
        raise ValueError(f"{service[:40]!r} is no service")
    return service


def stored(service: str, row: asyncpg.Record) -> StoredEvent:
    """A row of a service's outbox."""
    return StoredEvent(
        service=service,
        day=row["day"],
        id=row["id"],
        subject=row["subject"],
        stream=row["stream"],
        message_id=row["message_id"],
        headers=_headers(row["headers"]),
        body=row["body"],
        created_at=row["created_at"],
        published_at=row["published_at"],
    )


class _Reader:
    """One service's outbox."""

    def __init__(self, connection: asyncpg.Connection, service: str, ask: _Ask, after: UUID | None) -> None:
        self.page: deque[StoredEvent] = deque()
        self._connection, self._service, self._ask, self._after = connection, checked(service), ask, after
        self._ended = False

    def __lt__(self, other: "_Reader") -> bool:
        return self._service < other._service

    def place(self) -> tuple[int, "_Reader"]:
        """Sorts readers by what they give next."""
        id_ = self.page[0].id.int
        return -id_ if self._ask.backwards else id_, self

    async def filled(self) -> bool:
        """Whether there is a next one; reads the next page where that is not known."""
        if not self.page and not self._ended:
            rows = await self._read()
            self.page.extend(stored(self._service, row) for row in rows)
            if rows:
                self._after = rows[-1]["id"]
            self._ended = not rows or len(rows) == rows[0]["found"] < self._ask.rows
        return bool(self.page)

    async def _read(self) -> Sequence[asyncpg.Record]:
        given: list[object] = []
        conditions = self._ask.selection.conditions(given)
        if self._after:
            given += [day_made(self._after), self._after]
            sign, day, id_ = "<" if self._ask.backwards else ">", len(given) - 1, len(given)
            conditions += f" and day {sign}= ${day} and (day, id) {sign} (${day}, ${id_})"
        statement = self._ask.statement(self._service, conditions)
        rows: Sequence[asyncpg.Record] = await self._connection.fetch(statement, *given)
        return rows
