"""One event by its id, and what became of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from penstock.events.choosing import ChoiceInvalid
from penstock_common.errors import Fault
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import checked, outbox_events, services_with_outbox
from penstock_common.events.selection import Selection
from penstock_common.ids import UUID7, UUID_TEXT, day_of, time_of
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.topology import ONLY, Consumer
from penstock_common.topology import PLATFORM

EARLY = timedelta(minutes=5)
"""A row is hardly older than the id of what it is about."""
LATE = (timedelta(hours=1), timedelta(days=1), timedelta(days=10_000))
"""How far behind that id it is looked for, in turn: few rows first."""
UNKEPT = {"inference-generate-text", "inference-embed-texts", "inference-vectorize-texts", "inference-batch-text"}
"""Consumers whose own rows decide in place of an inbox."""

HANDLED = """
select consumer, handled_at from {service}.inbox where day = $1 and consumer = any($2::text[]) and message_id = $3
"""
LETTERS = """
select id, consumer, state, code, attempts, last_failed_at from api.dead_letters where message_id = $1 order by id
"""


class NoSuchEvent(ChoiceInvalid):
    """No outbox has it."""

    code = "cli.no_such_event"
    fault = Fault.MISSING
    exit_status = 1


@dataclass(frozen=True, slots=True)
class Handling:
    """What became of a message at one consumer: `handled`, `dead`, `waiting`, or `unrecorded` where it keeps no inbox.

    One that waits was not handled yet: it is on the bus, being handled, or not published.
    """

    consumer: str
    state: str
    at: datetime | None = None
    letter: UUID | None = None
    code: str = ""


async def find_event(connection: asyncpg.Connection, text: str) -> list[StoredEvent]:
    """The event of this row id or message id, and each time it was sent once more. Raises NoSuchEvent."""
    if not UUID7.match(text) or len(text) > 200:
        raise NoSuchEvent(f"{text[:80]!r} is no id of an event: they begin with a uuid7, as `events ls` shows them.")
    services = await services_with_outbox(connection)
    at = time_of(UUID(text[:UUID_TEXT]))
    if len(text) == UUID_TEXT:
        row = Selection(since=at, until=at + timedelta(milliseconds=1))
        async for event in outbox_events(connection, services, row):
            if event.id == UUID(text):
                return [event]
    begins = at - EARLY
    for late in LATE:
        ends = min(at + late, datetime.now(UTC) + EARLY)
        chosen = Selection(since=begins, until=ends, attributes={"id": text})
        if found := [event async for event in outbox_events(connection, services, chosen)]:
            return found
        begins = ends
    raise NoSuchEvent(f"No outbox has an event {text}: it was never said, or its day has been dropped.")


def consumers_of(event: StoredEvent) -> list[Consumer]:
    """Who has to handle it, as the topology says now."""
    if event.subject.startswith(ONLY):
        return [row for row in PLATFORM.rows if row.name == event.subject.removeprefix(ONLY)]
    return [row for row in PLATFORM.rows if row.topic.subject == event.subject]


async def handlings_of(connection: asyncpg.Connection, event: StoredEvent) -> list[Handling]:
    """What became of it at each consumer."""
    message_id = event.headers.get(MESSAGE_ID, event.message_id)
    letters = {row["consumer"]: row for row in await connection.fetch(LETTERS, message_id)}
    handled = {row["consumer"]: row["handled_at"] async for row in handled_by(connection, event, message_id)}
    upkeep = {row.name for row in PLATFORM.upkeep.values()}
    return [
        _handling(consumer.name, handled, letters, kept=consumer.name not in UNKEPT | upkeep)
        for consumer in consumers_of(event)
    ]


async def handled_by(connection: asyncpg.Connection, event: StoredEvent, message_id: str) -> AsyncIterator[Any]:
    """The inbox rows of a message."""
    names: dict[str, list[str]] = {}
    for consumer in consumers_of(event):
        names.setdefault(consumer.service, []).append(consumer.inbox_name)
    for service, consumers in names.items():
        given = (day_of(message_id), consumers, message_id)
        for row in await connection.fetch(HANDLED.format(service=checked(service)), *given):
            yield row


def _handling(name: str, handled: dict[str, datetime], letters: dict[str, Any], *, kept: bool) -> Handling:
    if name in handled:
        return Handling(name, "handled", handled[name])
    if name in letters:
        letter = letters[name]
        return Handling(name, "dead", letter["last_failed_at"], letter["id"], letter["code"])
    return Handling(name, "waiting" if kept else "unrecorded")


def row_id_of(text: str) -> UUID | None:
    """The row id that `--after` gives. Raises ChoiceInvalid."""
    if not text:
        return None
    if len(text) != UUID_TEXT or not UUID7.fullmatch(text):
        raise ChoiceInvalid(f"--after: {text[:80]!r} is no row id, such as `id` in ls --json or `outboxrow` in export.")
    return UUID(text)
