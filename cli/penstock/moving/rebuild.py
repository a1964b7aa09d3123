"""A bus made anew: streams and consumers from the topology, messages from the outboxes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, ClassVar
from uuid import UUID

import asyncpg

from penstock.acting import acting
from penstock.events.source import reading
from penstock.moving.handled import Records
from penstock.moving.owed import Horizon, Tally, owed
from penstock.platform.errors import PlatformError
from penstock_common.errors import BusUnavailable, Fault, PenstockError
from penstock_common.events.event import StoredEvent
from penstock_common.messaging.connect import apply_topology, connect_bus, diff_topology, make_inspector
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.inspection import BusRefused
from penstock_common.messaging.ports import Bus, Outgoing
from penstock_common.topology import PLATFORM

ACT = "bus.rebuild"
BODIES = 64  # messages in memory at once
PATIENCE = 30.0  # seconds in which the bus must take a message
PUBLISH_SECONDS = 5.0
PAUSE = 0.5
BODY = "select id, body from {service}.outbox where day = any($1::date[]) and id = any($2::uuid[])"


class NoBus(PlatformError):
    """The bus can't be made anew."""

    code = "cli.bus_unreachable"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 2


class NotTaken(PlatformError):
    """The bus does not take what it is given."""

    code = "cli.bus_refuses"
    fault = Fault.UNAVAILABLE


@dataclass
class Rebuilt:
    """What was made, and what was published."""

    made: Sequence[str]
    """Streams, consumers, queues, exchanges."""
    tally: Tally = field(default_factory=Tally)
    published: int = 0

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        topics = sorted(self.tally.looked_at)
        counted = ("looked_at", "owed", "older", "untold")
        return {
            "made": list(self.made),
            "topics": {topic: {name: getattr(self.tally, name)[topic] for name in counted} for topic in topics},
            "consumers": dict(sorted(self.tally.consumers.items())),
            **{name: getattr(self.tally, name).total() for name in counted},
            "published": self.published,
        }


async def would_rebuild(bus: str, database: str, since: datetime | None) -> Rebuilt:
    """What a rebuild would do now, counted; nothing is changed. Raises NoBus, CannotRead."""
    async with reachable():
        await make_inspector(bus).look(PLATFORM)  # gives up sooner than who lays out a bus
        made = await diff_topology(bus)
    counted = Rebuilt(made)
    async with reading(database) as connection:
        async for _ in owed(Records(connection, PLATFORM), Horizon(datetime.now(UTC), PLATFORM, since), counted.tally):
            pass
    return counted


async def rebuild(bus: str, database: str, since: datetime | None, advance: Callable[[], None]) -> Rebuilt:
    """Make what is missing, then publish what nobody handled yet, oldest first; may be repeated at any time.

    `advance` is called after each message. Raises NoBus, NotTaken, CannotRead, ActUntold.
    """
    async with reachable():
        await make_inspector(bus).look(PLATFORM)
        done = Rebuilt(await apply_topology(bus))
    given = {"since": since.isoformat() if since else "what streams keep", "made": str(len(done.made))}
    async with acting(bus, ACT, given) as act, reading(database) as connection, connected(bus) as publisher:
        horizon = Horizon(datetime.now(UTC), PLATFORM, since)
        async for page in owed(Records(connection, PLATFORM), horizon, done.tally):
            async for messages in with_bodies(connection, page):
                await taken(publisher, messages)
                done.published += len(messages)
                for _ in messages:
                    advance()
        act.results["published"] = str(done.published)
    return done


@asynccontextmanager
async def reachable() -> AsyncIterator[None]:
    """What fails inside for the bus's sake is NoBus."""
    try:
        yield
    except (BusUnavailable, BusRefused, ValueError) as error:
        raise NoBus(f"The bus can't be used: {describe(error)}; start it, or correct its address.") from error


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bus]:
    """A connection for publishing. Raises NoBus."""
    async with reachable():
        bus = await connect_bus(url, "penstock-bus", PATIENCE)
    try:
        yield bus
    finally:
        await bus.close()


async def with_bodies(connection: asyncpg.Connection, page: Sequence[StoredEvent]) -> AsyncIterator[Sequence[Outgoing]]:
    """The events' messages, some at a time, in their order. One that was dropped meanwhile is left out."""
    for some in (page[at : at + BODIES] for at in range(0, len(page), BODIES)):
        bodies: dict[UUID, bytes] = {}
        for service, events in groupby(sorted(some, key=lambda e: e.service), key=lambda e: e.service):
            places = [(event.day, event.id) for event in events]
            rows = await connection.fetch(BODY.format(service=service), *map(list, zip(*places, strict=True)))
            bodies |= {row["id"]: row["body"] for row in rows}
        yield [Outgoing(e.subject, e.stream, e.message_id, e.headers, bodies[e.id]) for e in some if e.id in bodies]


async def taken(bus: Bus, messages: Sequence[Outgoing]) -> None:
    """Publish until the bus confirmed each. Raises NotTaken."""
    left, deadline = list(messages), time.monotonic() + PATIENCE
    while left:
        results: Sequence[PenstockError | None] = await bus.publish_all(left, PUBLISH_SECONDS)
        refused = [(message, error) for message, error in zip(left, results, strict=True) if error]
        if refused and time.monotonic() > deadline:
            message, error = refused[0]
            raise NotTaken(f"The bus does not take {message.subject} {message.message_id}: {describe(error)}")
        left = [message for message, _ in refused]
        if left:
            await asyncio.sleep(PAUSE)
