"""Processes of services on a topology that has only their own lanes, so that the laying out takes no time."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock_billing.adapters.at_once import STATEMENT
from penstock_billing.adapters.books import SqlDeps
from penstock_billing.subscribers import router
from penstock_common.db.relay import Relay
from penstock_common.db.transaction import Database
from penstock_common.errors import BusUnavailable, DatabaseUnavailable
from penstock_common.messaging.connect import make_bus
from penstock_common.messaging.ports import Bus, Free, Incoming, Take
from penstock_common.messaging.runtime import Runtime
from penstock_common.messaging.topology import DEAD_LETTERS, QUARANTINE, Consumer, Runner, Topology
from penstock_common.topology import (
    API_EVENTS,
    ATTEMPT_COSTED,
    BILLING_EVENTS,
    CATALOGUE_CHANGED,
    GENERATION_COMPLETED,
    INFERENCE_EVENTS,
    KEY_CREATED,
    PLATFORM,
    RUNS,
    SCHEDULER_EVENTS,
    START_RUN,
    TICK_FIRED,
    USAGE_RECORDED,
)
from tests.support.points import Points
from tests.support.scheduling import NOON, MovedClock, Scheduler

PAUSE = 0.2  # seconds
MANY = 512
"""Deliveries that a process may hold, those that it leaves to others among them."""
BOOKS = tuple(
    replace(row, runner=Runner.PLAIN, concurrency=MANY, isolate_after=MANY)
    for row in PLATFORM.consumers
    if row.service == "billing"
)
READERS = tuple(
    Consumer("reader", f"on_{name}", topic, concurrency=MANY, runner=Runner.PLAIN)
    for name, topic in (
        ("usage_recorded", USAGE_RECORDED),
        ("start_run", START_RUN),
        ("tick_fired", TICK_FIRED),
        ("key_created", KEY_CREATED),
    )
)
"""Whoever hears what the crews say."""
STAGE = Topology(
    (API_EVENTS, INFERENCE_EVENTS, BILLING_EVENTS, RUNS, SCHEDULER_EVENTS, QUARANTINE, DEAD_LETTERS),
    (GENERATION_COMPLETED, ATTEMPT_COSTED, CATALOGUE_CHANGED, USAGE_RECORDED, START_RUN, TICK_FIRED, KEY_CREATED),
    (*BOOKS, *READERS),
    collected_by="reader",
)


async def connected(bus: Bus, database: Database) -> None:
    """Reach both, however busy this machine is."""
    while True:
        try:
            if not bus.connected:
                await bus.connect()
            await database.warm()
        except (BusUnavailable, DatabaseUnavailable):
            await asyncio.sleep(PAUSE)
        else:
            return


class Books:
    """A whole billing process but for its routes."""

    def __init__(self, bus_url: str, database_url: str) -> None:
        self.bus, self.database = make_bus(bus_url, "billing"), Database(database_url, "billing", PLATFORM)
        self.relay = Relay(self.database, self.bus, "billing")
        self.runtime = Runtime(self.bus, STAGE, router, SqlDeps(self.database))

    async def start(self) -> None:
        """Publish and receive."""
        await connected(self.bus, self.database)
        await self.relay.start()
        await self.runtime.start()

    async def stop(self) -> None:
        """End in order."""
        await self.runtime.stop(5)
        await self.relay.stop()
        await self.bus.close()
        await self.database.close()


class Ticking:
    """A scheduler process in which it is a minute past noon for ever."""

    def __init__(self, bus_url: str, database_url: str, keyring: Path) -> None:
        self.bus = make_bus(bus_url, "scheduler")
        clock = MovedClock(NOON)
        clock.move(minutes=1)
        self.scheduler = Scheduler(database_url, keyring, clock)
        self.database = self.scheduler.database
        self.relay = Relay(self.database, self.bus, "scheduler")

    async def start(self) -> None:
        """Publish, and fire what is due."""
        await connected(self.bus, self.database)
        await self.relay.start()
        self.scheduler.ticker.start()

    async def stop(self) -> None:
        """End in order."""
        await self.scheduler.ticker.stop()
        await self.relay.stop()
        await self.bus.close()
        await self.database.close()


class Relaying:
    """An api process that receives nothing: it publishes what another one left behind."""

    def __init__(self, bus_url: str, database_url: str) -> None:
        self.bus, self.database = make_bus(bus_url, "api"), Database(database_url, "api", PLATFORM)
        self.relay = Relay(self.database, self.bus, "api")

    async def start(self) -> None:
        """Publish what lies there."""
        await connected(self.bus, self.database)
        await self.relay.start()

    async def stop(self) -> None:
        """End in order."""
        await self.relay.stop()
        await self.bus.close()
        await self.database.close()


Crew = Books | Ticking | Relaying


class Nothing:
    """The subscription to a lane that is left to others."""

    async def stop(self) -> None:
        """There is nothing to stop."""


def narrow(crew: Crew, points: Points, handler: str, about: Collection[str]) -> None:
    """Watch a crew, and have it handle only deliveries of one lane about something; others wait for its death."""
    bus: Any = crew.bus
    take = bus.take
    missing, together = set(about), list[tuple[Incoming, Free]]()

    async def taking(lane: Consumer, begin: Take) -> Any:
        def begun(message: Incoming, free: Free) -> None:
            if not (found := {id_ for id_ in about if id_ in message.message_id}):
                return
            missing.difference_update(found)
            together.append((message, free))
            while together and not missing:  # in one batch
                begin(*together.pop(0))

        return await take(lane, begun) if lane.handler == handler else Nothing()

    bus.take = taking
    points.names, points.counts_repeats = {STATEMENT: "charge at once"}, True
    points.watch(crew.database, crew.bus)
