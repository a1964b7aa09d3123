"""The history of requests, `api.requests`: ids and decisions, no text; written off the path of the requests.

Most requests end before their first row would be written: those have one row written, that of their end.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

import msgspec
import structlog
from asyncpg import UniqueViolationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api import metrics
from penstock_api.adapters.closing import write_the_rest
from penstock_common.contracts.generation import GenerateText, GenerationCompleted
from penstock_common.db import inbox
from penstock_common.db.arrays import arrays_of
from penstock_common.db.transaction import Database, deliveries_of
from penstock_common.errors import DatabaseUnavailable

log = structlog.get_logger()

KEPT = 50_000  # rows that wait while the database is away; a dropped one is made from its end
BATCH = 1_000
PAUSE_SECONDS = 0.3  # a row is written after one to two of them, unless the end comes first

COLUMNS = {
    "request_id": "uuid",
    "tenant": "uuid",
    "key_id": "uuid",
    "model": "text",
    "streamed": "bool",
    "lane": "text",
    "status": "text",
    "attempt": "int",
    "prompt_tokens": "int",
    "completion_tokens": "int",
    "decisions": "text",
    "accepted_at": "timestamptz",
    "deadline": "timestamptz",
    "ended_at": "timestamptz",
}
NAMES = ", ".join(COLUMNS)


def _insert(parameters: Iterable[str], unless: str) -> str:
    """Rows given as one array a column."""
    arrays = arrays_of(parameters, COLUMNS.values())
    return f"""
insert into {{schema}}.requests as r ({NAMES})
select {NAMES.replace("decisions", "cast(decisions as jsonb)")} from unnest({arrays}) as g({NAMES})
order by request_id
on conflict (request_id) do update set
  status = excluded.status, attempt = excluded.attempt, prompt_tokens = excluded.prompt_tokens,
  completion_tokens = excluded.completion_tokens, decisions = excluded.decisions, ended_at = excluded.ended_at
where {unless}
"""


NAMED = [f":{name}" for name in COLUMNS]
# What this process saw never replaces an end: that is inference's to say.
SEEN = _insert(NAMED, "r.status = 'accepted' and excluded.status <> 'accepted'")
NEWER = "r.attempt <= excluded.attempt"
ENDED = _insert(NAMED, NEWER)
HEARD = f"""
with heard as (
  insert into {{schema}}.inbox (day, consumer, message_id, fingerprint)
  select * from unnest($1::date[], $2::text[], $3::text[], $4::text[]) order by 1, 2, 3
)
{_insert([f"${n}" for n in range(5, 5 + len(COLUMNS))], NEWER)}
"""
"""Ends with the inbox rows of the messages that told them. Fails, and writes nothing, where one was heard before."""

Row = tuple[object, ...]


class RequestsLog:
    """Rows that wait in memory for the next statement."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._seen, self._heard = (statement.format(schema=database.schema) for statement in (SEEN, HEARD))
        self._due: dict[object, Row] = {}
        self._new: dict[object, Row] = {}
        """By request, the newest of what this process saw of it."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, seconds: float = 2.0) -> None:
        """Write what waits, if the database takes it in time."""
        await write_the_rest(self._task, self._write_all, seconds)

    def accepted(self, command: GenerateText) -> None:
        """The bus has the request."""
        self._add(row_of(command, "accepted", None))

    def refused(self, command: GenerateText, at: datetime) -> None:
        """The bus gave no word: the client heard 503."""
        self._add(row_of(command, "refused", at))

    def lost(self, command: GenerateText, at: datetime) -> None:
        """Nothing was heard until the deadline: the client heard 504."""
        self._add(row_of(command, "lost", at))

    async def record_ends(self, connection: AsyncConnection, events: Sequence[GenerationCompleted]) -> None:
        """Write the ends that inference recorded; a missing row is made. One row a request, the newest attempt's."""
        self._forget(events)
        await write_ends(connection, self.database.schema, events)

    async def record_new(self, events: Sequence[GenerationCompleted]) -> bool:
        """The same for the running handler's events in one statement; False where any of them was heard before."""
        self._forget(events)
        heard = inbox.columns_of(inbox.fingerprints(deliveries_of(events)))
        try:
            await self.database.at_once(self._heard, (*heard.values(), *ended_columns(events).values()), ())
        except UniqueViolationError:
            return False
        return True

    def _forget(self, events: Sequence[GenerationCompleted]) -> None:
        """What was seen of a request need not be written before its end."""
        for event in events:
            self._due.pop(event.request_id, None)
            self._new.pop(event.request_id, None)

    def _add(self, row: Row) -> None:
        if len(self._due) + len(self._new) >= KEPT:
            oldest = self._due or self._new
            del oldest[next(iter(oldest))]
            metrics.REQUEST_ROWS_DROPPED.inc()
        self._new[row[0]] = row

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self._write_due()
            except DatabaseUnavailable as error:
                log.warning("requests.waiting", count=len(self._due) + len(self._new), reason=error.message)
            except Exception:
                log.exception("requests.unwritten")

    async def _write_all(self) -> None:
        await self._write_due()
        await self._write_due()

    async def _write_due(self) -> None:
        while self._due:
            batch = dict(islice(self._due.items(), BATCH))
            for request_id in batch:
                del self._due[request_id]
            try:
                async with self.database.reading() as connection:
                    await connection.execute(text(self._seen), columns_of(list(batch.values())))
            except (DatabaseUnavailable, asyncio.CancelledError):
                self._due = batch | self._due
                raise
        self._due, self._new = self._new, {}


async def write_ends(connection: AsyncConnection, schema: str, events: Sequence[GenerationCompleted]) -> None:
    """Write ends into the table of a schema, the newest attempt's of each request; an older one changes nothing."""
    await connection.execute(text(ENDED.format(schema=schema)), ended_columns(events))


def ended_columns(events: Sequence[GenerationCompleted]) -> dict[str, Sequence[object]]:
    """The newest attempt's end of each request, as parameters of one statement."""
    newest = {e.request_id: e for e in sorted(events, key=lambda e: e.attempt)}
    return columns_of([ended_row(e) for e in newest.values()])


def row_of(command: GenerateText, status: str, ended_at: datetime | None) -> Row:
    """What this process saw of a request."""
    c = command
    trail = decisions_json(c.decisions)
    ids = (c.request_id, c.tenant, c.key_id, c.model, c.streamed, c.lane)
    return (*ids, status, 0, 0, 0, trail, c.accepted_at, c.deadline, ended_at)


def ended_row(event: GenerationCompleted) -> Row:
    """What inference recorded of a request."""
    e = event
    ids = (e.request_id, e.tenant, e.key_id, e.model, e.streamed, e.lane)
    counts = (e.attempt, e.tokens.prompt, e.tokens.completion)
    return (*ids, e.outcome.value, *counts, decisions_json(e.decisions), e.accepted_at, None, e.completed_at)


def decisions_json(decisions: Sequence[object]) -> str:
    """A decision trail as the jsonb column takes it."""
    return msgspec.json.encode(decisions).decode()


def columns_of(rows: Sequence[Row]) -> dict[str, Sequence[object]]:
    """Rows as parameters of one statement, one array a column."""
    return dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
