"""Gathers the facts of a chain: from what was asked for, up to its cause and down to what it led to."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from penstock.events.choosing import ChoiceInvalid
from penstock.events.found import NoSuchEvent, consumers_of, find_event
from penstock.events.tracing import statements as sql
from penstock.events.tracing.facts import Facts, uuid_or_none
from penstock_common.errors import Fault
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import checked, services_with_outbox, stored
from penstock_common.events.selection import TRACE_ID, first_id
from penstock_common.ids import UUID7, UUID_TEXT, day_of, time_of
from penstock_common.messaging.envelope import MESSAGE_ID

MOST_THINGS = 500
MOST_EVENTS = 5_000
MOST_ENTRIES = 5_000
ROUNDS = 8
BEFORE = timedelta(minutes=5)
BEHIND = timedelta(minutes=15)
"""How long after the last end what it led to may have been written."""
CALLS = ("inference.generation.completed.v1", "inference.attempt.costed.v1", "billing.usage.recorded.v1")
"""What a run's calls leave in its trace; everything else in it may be another's."""
THINGS = frozenset(
    {
        *CALLS,
        "cmd.inference.text.queue.v1",
        "cmd.inference.text.batch.v1",
        "cmd.worker.run.start.v1",
        "worker.run.changed.v1",
        "scheduler.tick.fired.v1",
        "cmd.indexer.document.add.v1",
        "indexer.document.changed.v1",
    }
)
"""Topics about one request, run or document."""
ENDED_DOCUMENT = ("indexed", "failed")
LONGEST_ID = 200
PREFIXES = ("chatcmpl-", "req_")
LOOK_BACK = timedelta(days=14)
"""How far back a trace id, which has no time of its own, is looked for."""
STEP_BACK = timedelta(days=1)
NOW = "select clock_timestamp()"


class Untraceable(ChoiceInvalid):
    """Nobody knows of it."""

    code = "cli.untraceable"
    fault = Fault.MISSING
    exit_status = 2


class Gathering:
    """One chain, gathered in rounds until nothing new is found."""

    def __init__(self, connection: asyncpg.Connection, facts: Facts, services: Sequence[str]) -> None:
        self._connection, self._facts, self._services = connection, facts, services
        self._traces: set[str] = set()
        self._known: set[UUID] = set()

    async def follow(self, ids: set[UUID]) -> None:
        """Gather what these are about, what led to it, and what came of it."""
        for _ in range(ROUNDS):
            new = ids - self._known
            if not new:
                return
            if len(self._known) + len(new) > MOST_THINGS:
                break
            self._known |= new
            await self._read_rows(new)
            ids = self._related() | await self._read_chain()
        self._facts.is_cut = True

    async def follow_trace(self, trace_id: str) -> None:
        """Gather everything of a trace, and of what it is about: from now back to a day that has none of it."""
        oldest, ends = self._facts.now - LOOK_BACK, self._facts.now + BEFORE
        events = self._facts.events
        while ends > oldest:
            begins = max(ends - STEP_BACK, oldest)
            found = await self._events(sql.OF_TRACE, (begins, ends), [trace_id])
            if events and not found:
                break
            events |= {event.id: event for event in found}
            ends = begins
        await self.follow({id_ for event in events.values() if (id_ := about(event))})

    async def settle(self) -> None:
        """Gather what became of the messages at their consumers."""
        wanted: dict[str, list[tuple[date, str, str]]] = {}
        for event in self._facts.events.values():
            message_id = event.headers[MESSAGE_ID]
            for lane in consumers_of(event):
                wanted.setdefault(lane.service, []).append((day_of(message_id), lane.inbox_name, message_id))
        for service, keys in wanted.items():
            rows = await self._connection.fetch(sql.HANDLED.format(service=checked(service)), *zip(*keys, strict=True))
            self._facts.handled |= {(row["consumer"], row["message_id"]): row["handled_at"] for row in rows}
        ids = sorted({key[2] for keys in wanted.values() for key in keys})
        for row in await self._connection.fetch(sql.LETTERS, ids):
            self._facts.letters[row["consumer"], row["message_id"]] = row

    async def _read_rows(self, new: set[UUID]) -> None:
        ids, facts = sorted(new), self._facts
        for name, (key, statement) in sql.BY_ID.items():
            getattr(facts, name).update({row[key]: row for row in await self._connection.fetch(statement, ids)})
        runs = await self._connection.fetch(sql.RUNS.format(most=MOST_THINGS), ids, [str(id_) for id_ in ids])
        facts.runs |= {row["id"]: row for row in runs}
        for row in await self._connection.fetch(sql.CHARGES, ids):
            facts.charges.setdefault(row["request_id"], []).append(row)
        entries = await self._connection.fetch(sql.ENTRIES.format(most=MOST_ENTRIES), ids)
        for row in entries:
            facts.entries.setdefault(row["run_id"], []).append(row)
        facts.is_cut |= len(runs) == MOST_THINGS or len(entries) == MOST_ENTRIES

    def _related(self) -> set[UUID]:
        """What the rows name: who asked for a request, which run started a run, and runs that it started."""
        facts = self._facts
        named = {facts.asked_by(request_id) for request_id in facts.generations}
        named |= {uuid_or_none(run["source_id"]) for run in facts.runs.values() if run["trigger"] == "run"}
        return {id_ for id_ in named if id_} | set(facts.runs)

    async def _read_chain(self) -> set[UUID]:
        """Read the events of the chain; gives what they are about.

        The calls of a run or a document are found by its trace, which others may share: each call names who asked.
        """
        rows = [*self._facts.runs.values(), *self._facts.documents.values()]
        traces = {row["traceparent"].split("-")[1] for row in rows if row["traceparent"].count("-") == 3}
        given = [[str(id_) for id_ in sorted(self._known)], sorted(traces), list(CALLS)]
        found = await self._events(sql.CHAIN, self._window(), given)
        strange = {id_ for event in found if event.subject in CALLS and (id_ := about(event))} - self._known
        asked = await self._asked(strange)
        others = strange - asked
        self._facts.events |= {event.id: event for event in found if about(event) not in others}
        return asked | {id_ for event in found if (id_ := about(event)) and id_ not in others}

    async def _asked(self, requests: set[UUID]) -> set[UUID]:
        """Those of these requests that something of the chain asked for."""
        rows = await self._connection.fetch(sql.GENERATIONS, sorted(requests))
        asked = Facts("", self._facts.now, generations={row["request_id"]: row for row in rows})
        return {id_ for id_ in requests if asked.asked_by(id_) in self._known}

    def _window(self) -> tuple[datetime, datetime]:
        facts = self._facts
        begins = min(time_of(id_) for id_ in self._known) - BEFORE
        ends = [row["ended_at"] for rows in (facts.generations, facts.runs) for row in rows.values()]
        ends += [row["changed_at"] if row["state"] in ENDED_DOCUMENT else None for row in facts.documents.values()]
        is_over = ends and None not in ends
        return begins, max(ends) + BEHIND if is_over else facts.now + BEFORE

    async def _events(self, statement: str, window: tuple[datetime, datetime], given: list[Any]) -> list[StoredEvent]:
        begins, ends = (moment.astimezone(UTC) for moment in window)
        place = (begins.date(), ends.date(), first_id(begins), first_id(ends))
        found: list[StoredEvent] = []
        for service in self._services:
            text = statement.format(service=checked(service), most=MOST_EVENTS)
            rows = await self._connection.fetch(text, *place, *given)
            self._facts.is_cut |= len(rows) == MOST_EVENTS
            found += [stored(service, row) for row in rows]
        return found


async def gather(connection: asyncpg.Connection, text: str) -> Facts:
    """What is known about the id of a request, run, document or event, or about a trace id. Raises Untraceable."""
    sought = next((text.removeprefix(prefix) for prefix in PREFIXES if text.startswith(prefix)), text).strip()
    facts = Facts(sought, await connection.fetchval(NOW))
    gathering = Gathering(connection, facts, await services_with_outbox(connection))
    if TRACE_ID.fullmatch(sought):
        await gathering.follow_trace(sought)
    elif UUID7.match(sought) and len(sought) <= LONGEST_ID:
        await gathering.follow({UUID(sought[:UUID_TEXT])})
        if facts.is_empty:
            await _follow_event(connection, facts, gathering)
    else:
        raise Untraceable(f"{text[:80]!r} is no id of a request, run, document or event, and no trace id.")
    if facts.is_empty:
        raise Untraceable(
            f"Nobody knows of {sought}: it was never accepted, or less than a second ago, or its day has been dropped."
        )
    await gathering.settle()
    return facts


async def _follow_event(connection: asyncpg.Connection, facts: Facts, gathering: Gathering) -> None:
    try:
        found = await find_event(connection, facts.sought)
    except NoSuchEvent:
        return
    facts.events |= {event.id: event for event in found}
    cause = uuid_or_none(found[0].correlation)
    if not about(found[0]) and cause and await connection.fetchval(sql.IS_KEY, cause):
        cause = None  # what is ordered with one key has no other cause in common
    await gathering.follow({id_ for id_ in (about(found[0]) or cause,) if id_})


def about(event: StoredEvent) -> UUID | None:
    """The request, run or document that an event is about; None where it is about none."""
    if event.topic not in THINGS:
        return None
    prefix, separator, _ = event.headers.get(MESSAGE_ID, "").partition(".")
    return uuid_or_none(prefix if separator else event.headers.get("ce-subject", ""))
