"""A scheduler without its bus, and what it is told and asked."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from penstock_common.contracts.runs import StartRun
from penstock_common.contracts.schedules import (
    Cadence,
    Misfire,
    ReadSchedules,
    RemoveSchedule,
    SaveSchedule,
    ScheduleShown,
    TickFired,
    Timing,
)
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Incoming
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM
from penstock_scheduler.adapters.claims import SqlSchedules
from penstock_scheduler.adapters.inputs import Inputs
from penstock_scheduler.adapters.register import SqlDeps, SqlReader
from penstock_scheduler.subscribers import remove_schedule, save_schedule
from penstock_scheduler.ticking.ticker import Ticker
from tests.support.deliveries import MemorySettler, delivered

TENANT, KEY = uuid7(), uuid7()
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERY_MINUTE = Timing(Cadence.CRON, "* * * * *")
HANDLERS: dict[type[Any], Any] = {SaveSchedule: save_schedule, RemoveSchedule: remove_schedule}
Command = SaveSchedule | RemoveSchedule


@dataclass
class MovedClock:
    """A clock that stands where a test puts it."""

    at: datetime = NOON

    def now(self) -> datetime:
        """Where it was put."""
        return self.at

    def boottime(self) -> float:
        """The same in seconds."""
        return self.at.timestamp()

    def move(self, **span: float) -> None:
        """Go on."""
        self.at += timedelta(**span)


@dataclass
class Scheduler:
    """One scheduler process without a bus; its clock moves by hand."""

    url: str
    keyring: Path
    clock: MovedClock = field(default_factory=MovedClock)

    def __post_init__(self) -> None:
        self.database = Database(self.url, "scheduler", PLATFORM)
        self.sealer = Sealer(LocalKeyring(self.keyring))
        inputs = Inputs(self.sealer)
        self.schedules, self.reader = SqlSchedules(self.database, inputs), SqlReader(self.database, inputs)
        self.ticker = Ticker(self.schedules, self.clock)
        self.settler = MemorySettler()
        self.delivery = Delivery(self.settler)
        self.nudges = 0

    def saving(self, timing: Timing = EVERY_MINUTE, *, given: Any = None, **changes: Any) -> SaveSchedule:
        """A command to save a schedule, given `given` as its runs' input."""
        schedule_id = changes.pop("schedule_id", None) or uuid7()
        sealed = self.sealer.seal(TENANT, str(schedule_id), msgspec.json.encode(given))
        fields: dict[str, Any] = {"name": "probe", "task": "probe", "tenant": TENANT, "key_id": KEY, "sealed": sealed}
        fields["saved_at"] = self.clock.now()
        return SaveSchedule(schedule_id=schedule_id, timing=timing, **fields | changes)

    async def receive(self, command: Command, times: int = 1) -> None:
        """Deliver one command, under one message id, `times` over."""
        lane = PLATFORM.consumer("scheduler", HANDLERS[type(command)].__name__)
        message = delivered(command)

        async def call(incoming: Incoming) -> None:
            await HANDLERS[type(command)](opened(incoming, type(command)), SqlDeps(self.database, self._nudge))

        for _ in range(times):
            await self.delivery.run(call, message, lane)

    async def save(self, timing: Timing = EVERY_MINUTE, **changes: Any) -> UUID:
        """Save a schedule now; its id."""
        command = self.saving(timing, **changes)
        await self.receive(command)
        return command.schedule_id

    async def tick(self, **span: float) -> None:
        """Move the clock, and fire all that is due."""
        self.clock.move(**span)
        while await self.ticker.turn():
            pass

    async def shown(self, schedule_id: UUID, tenant: UUID = TENANT) -> ScheduleShown | None:
        """What its owner sees."""
        found = await self.reader.read(ReadSchedules(tenant=tenant, schedule_id=schedule_id))
        return found.schedules[0] if found.schedules else None

    async def ticks(self, schedule_id: UUID) -> list[datetime]:
        """The moments that fired."""
        return await self.fetch("select due_at from scheduler.ticks where schedule_id = :id order by 1", id=schedule_id)

    async def said(self, contract: type[Any]) -> list[Any]:
        """The messages of a contract in the outbox, oldest first."""
        return (await self._said(contract))[0]

    async def orders(self) -> list[tuple[datetime, UUID]]:
        """(due, run id) of the runs ordered, by time; each was told of by a fact of the same run."""
        orders, facts = await self._said(StartRun, TickFired)
        ordered = sorted((o.due_at, o.run_id) for o in orders if o.due_at)
        assert ordered == sorted((f.due_at, f.run_id) for f in facts)
        return ordered

    async def _said(self, *contracts: type[Any]) -> list[list[Any]]:
        """The messages of each contract, as one moment of the outbox has them."""
        subjects = {PLATFORM.topic(contract).subject: contract for contract in contracts}
        statement = "select subject, body from scheduler.outbox where subject = any(:subjects) order by id"
        rows = await self.fetch(statement, subjects=list(subjects))
        found: dict[type[Any], list[Any]] = {contract: [] for contract in contracts}
        for subject, body in rows:
            found[subjects[subject]].append(msgspec.json.decode(body, type=subjects[subject]))
        return list(found.values())

    def input_of(self, order: StartRun) -> Any:
        """What a run is given."""
        return json.loads(self.sealer.open(str(order.run_id), order.sealed))

    async def fetch(self, statement: str, **given: Any) -> list[Any]:
        """Rows as tuples; single columns as values."""
        async with self.database.engine.begin() as connection:
            rows = [tuple(row) for row in await connection.execute(text(statement), given)]
        return [row[0] if len(row) == 1 else row for row in rows]

    async def execute(self, statement: str, **given: Any) -> None:
        """Run a statement that gives nothing back."""
        async with self.database.engine.begin() as connection:
            await connection.execute(text(statement), given)

    def _nudge(self) -> None:
        self.nudges += 1


@asynccontextmanager
async def scheduler_process(url: str, keyring: Path) -> AsyncIterator[Scheduler]:
    """A process whose connections are closed afterwards."""
    scheduler = Scheduler(url, keyring)
    try:
        yield scheduler
    finally:
        await scheduler.database.close()


def every(seconds: int, **changes: Any) -> Timing:
    """An interval."""
    return Timing(Cadence.INTERVAL, every_seconds=seconds, **changes)


def once(at: datetime) -> Timing:
    """A one-shot."""
    return Timing(Cadence.ONCE, start_at=at)


ALL, LATEST, SKIP = Misfire.ALL, Misfire.LATEST, Misfire.SKIP
