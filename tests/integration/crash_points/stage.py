"""The servers that processes come to and die at, and what is found there in the end."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from penstock_common.contracts.base import Contract
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus, make_inspector
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.topology import PLATFORM
from tests.integration.crash_points.crews import READERS, STAGE
from tests.integration.crash_points.lives import Orders
from tests.support.billing import Billing, a_catalogue, billing_process
from tests.support.databases import Databases
from tests.support.deliveries import MemorySettler
from tests.support.scheduling import Scheduler, scheduler_process

T = TypeVar("T")
SECONDS = 60.0
LOOK_SECONDS = 0.05
BOOKS = """
select source_key, account, amount_nano, corrects is null from billing.entries join billing.postings on entry_id = id
where request_id = $1::text::uuid order by 1, 2
"""
HANDLED = "select consumer, message_id from billing.inbox where message_id like $1 || '%' order by 1, 2"
SAID = tuple(
    f"""
select subject, published_at is not null, count(*) from {service}.outbox
where message_id like $1 || '%' or position($1 in convert_from(body, 'utf8')) > 0 group by 1, 2 order by 1, 2
"""
    for service in ("api", "billing", "scheduler")
)
TICKS = "select due_at from scheduler.ticks where schedule_id = $1::text::uuid order by 1"
NEXT = "select next_at, last_at from scheduler.schedules where id = $1::text::uuid"


@dataclass(frozen=True)
class Ending:
    """Everything that is left of one piece of work, its ids taken out."""

    rows: tuple[tuple[Any, ...], ...]
    heard: tuple[tuple[str, int], ...]
    """How many different messages each lane brought to whoever reads."""


@dataclass
class Stage:
    """A bus, a database, and readers of all that is said."""

    databases: Databases
    bus_url: str
    folder: Path
    bus: Bus
    pool: asyncpg.Pool
    """As superuser."""
    billing: Billing
    """Writes without the bus."""
    scheduler: Scheduler
    api: Database
    letters: dict[tuple[str, str], str] = field(default_factory=dict)
    """Body by (subject, message id) of what was heard."""

    def orders(self, crew: str, lane: str, name: str, own: str, **more: Any) -> Orders:
        """What a process is to do, under a name that no other one has."""
        keyring, notes = str(self.scheduler.keyring), str(self.folder / name)
        return Orders(crew, lane, self.bus_url, dict(self.databases.services), keyring, notes, own, **more)

    async def surely(self, settler: MemorySettler, receive: Callable[[], Awaitable[T]]) -> T:
        """Have something received, again where the database did not answer in time: the machine may be busy."""
        while True:
            settler.retried.clear()
            found = await receive()
            if not settler.retried:
                return found

    async def booked(self, event: Contract, message_id: str = "") -> None:
        """Have billing handle an event beside the bus."""
        ids = (message_id,) if message_id else ()
        await self.surely(self.billing.settler, lambda: self.billing.receive(event, ids=ids))

    async def read(self, lane_name: str, message: Incoming) -> None:
        """Note what a lane brought."""
        self.letters[lane_name, message.message_id] = message.body.decode()
        await self.bus.settler.ack(message)

    async def ending(self, own: str) -> Ending:
        """What is left of the work that is about an id."""
        found: list[tuple[Any, ...]] = []
        for statement in (BOOKS, HANDLED, TICKS, NEXT, *SAID):
            found += [_nameless(row, own) for row in await self.pool.fetch(statement, own)]
        about = Counter(lane for (lane, id_), body in self.letters.items() if own in id_ or own in body)
        return Ending(tuple(found), tuple(sorted(about.items())))

    async def until_heard(self, own: str, wanted: Sequence[tuple[str, int]]) -> None:
        """Wait until so much was heard of the work."""
        async with self.patience():
            while (await self.ending(own)).heard != tuple(sorted(wanted)):
                await asyncio.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Whoever waits in this block waits so long; what holds then is for the caller to compare."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                yield

    async def unsettled(self) -> dict[str, Any]:
        """Lanes on which something waits or is unfinished."""
        lanes = (await make_inspector(self.bus_url).look(STAGE)).lanes
        return {name: lane for name, lane in lanes.items() if lane.waiting or lane.unfinished}


def _nameless(row: asyncpg.Record, own: str) -> tuple[Any, ...]:
    return tuple(value.replace(own, "…") if isinstance(value, str) else value for value in row)


@asynccontextmanager
async def a_stage(databases: Databases, bus_url: str, folder: Path) -> AsyncIterator[Stage]:
    """A stage whose books know a price."""
    await apply_topology(bus_url, STAGE)
    bus, pool = await connect_bus(bus_url, "reader"), await asyncpg.create_pool(databases.admin, min_size=1)
    api = Database(databases.services["api"], "api", PLATFORM)
    async with (
        billing_process(databases.services["billing"]) as billing,
        scheduler_process(databases.services["scheduler"], folder / "keyring") as scheduler,
    ):
        stage = Stage(databases, bus_url, folder, bus, pool, billing, scheduler, api)

        def reader(lane: str) -> Any:
            async def read(message: Incoming) -> None:
                await stage.read(lane, message)

            return read

        collector = STAGE.collector
        assert collector
        await stage.booked(a_catalogue(), str(uuid7()))
        subscriptions = [await bus.pull(lane, reader(lane.handler)) for lane in (*READERS, collector)]
        yield stage
        for subscription in subscriptions:
            await subscription.stop()
    await api.close()
    await pool.close()
    await bus.close()
