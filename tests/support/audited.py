"""A platform's outboxes, inboxes and dead letters, written as the services would, and the bus beside them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from penstock.auditing.judging import Rules
from penstock.auditing.notes import Notes
from penstock.auditing.report import Report, Tally
from penstock.auditing.run import Audit, Sources, audit, chosen
from penstock_common.contracts.base import Contract
from penstock_common.db.outbox import COLUMNS, OutboxRow
from penstock_common.db.tables import PARTITIONED
from penstock_common.ids import day_of, uuid7
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Outgoing
from penstock_common.messaging.topology import Consumer, Topic
from penstock_common.topology import PLATFORM
from tests.support.databases import Databases

MINUTES_AGO = timedelta(minutes=5)
AT_ONCE = Rules(settle=60.0, confirm=0.0)
"""What a test need not wait for; how old a message has to be is the real rule."""
LETTER = """
insert into api.dead_letters (id, identity, consumer, subject, message_id, code, reason, attempts, story, headers, body,
    first_failed_at, last_failed_at, collected_at, state, changed_at, act_id, due_at)
values ($1::uuid, $2, $3, 'a', $4, 'c', 'r', 1, '[]', '{}', '', now(), now(), now(), $5, now(), $1,
    case when $5 = 'due' then now() end)
"""


@dataclass
class Said:
    """A message in an outbox."""

    id: str
    at: datetime
    outgoing: Outgoing

    @property
    def day(self) -> date:
        """The partition."""
        return self.at.date()


@dataclass
class Audited:
    """One platform's records."""

    databases: Databases
    bus_url: str
    connection: asyncpg.Connection
    notes: Notes = field(default_factory=lambda: Notes(since=datetime.now(UTC).date() - timedelta(days=1)))

    async def partition(self, *days: date) -> None:
        """Day partitions of every service's tables."""
        for service in self.databases.services:
            for day in days:
                for table in PARTITIONED:
                    name, until = f"{service}.{table}_{day:%Y%m%d}", day + timedelta(days=1)
                    made = f"create table if not exists {name} partition of {service}.{table}"
                    await self.connection.execute(f"{made} for values from ('{day}') to ('{until}')")

    async def say(
        self,
        topic: Topic,
        *,
        ago: timedelta = MINUTES_AGO,
        message_id: str = "",
        published: bool = True,
        by: str = "",
        only: Consumer | None = None,
        message: Contract | None = None,
    ) -> Said:
        """Write an outbox row of that age; with a body that a handler understands if it is given the message."""
        at = datetime.now(UTC) - ago
        row_id = uuid7(int(at.timestamp() * 1000))
        id_ = message_id or str(row_id)
        told = f"{id_}:{uuid7()}" if only else id_
        subject = only.address if only else topic.subject
        out = Outgoing(subject, topic.stream, told, {"ce-id": id_, "ce-type": f"penstock.{topic.subject}"}, b"{}")
        if message:
            out = envelop(message, topic, message_id=id_)
        row = OutboxRow(row_id, out)
        values = dict(zip(COLUMNS, row.values, strict=True))
        await self.connection.execute(
            f"""insert into {by or topic.owner}.outbox ({", ".join(COLUMNS)}, created_at, published_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, case when $9 then $8 end)""",
            *values.values(), at, published,
        )  # fmt: skip
        return Said(id_, at, out)

    async def handle(self, consumer: Consumer, *said: Said, day: date | None = None) -> None:
        """Write inbox rows."""
        for each in said:
            await self.connection.execute(
                f"insert into {consumer.service}.inbox values ($1, $2, $3, 'f', $4)",
                day or day_of(each.id), consumer.name, each.id, each.at,
            )  # fmt: skip

    async def bury(self, consumer: Consumer, said: Said, state: str = "waiting") -> None:
        """Write a dead letter."""
        id_ = uuid7()
        await self.connection.execute(LETTER, id_, id_.bytes, consumer.name, said.id, state)

    async def publish(self, said: Said) -> None:
        """Put a message on the bus."""
        bus = await connect_bus(self.bus_url, "test")
        await bus.publish(said.outgoing)
        await bus.close()

    def work(self, rules: Rules = AT_ONCE, consumer: str | None = None) -> Audit:
        """An audit of these records."""
        return Audit(Sources(self.databases.audit, self.bus_url), chosen(consumer), rules)

    async def once(self, *, settle: float = 0, rules: Rules = AT_ONCE, days: int = 1) -> Report:
        """What the command finds."""
        since = datetime.now(UTC).date() - timedelta(days=days)
        return await audit(self.work(rules), since, settle)

    async def again(self, rules: Rules = AT_ONCE) -> Report:
        """What a watch finds at its next look."""
        report, _ = await self.work(rules).look(self.notes)
        return report


def tally(report: Report, consumer: Consumer) -> Tally:
    """A consumer's."""
    (found,) = (each for each in report.tallies if each.consumer == consumer.name)
    return found


def named(report: Report) -> set[tuple[str, str]]:
    """(consumer, message id) of all that is missing."""
    return {(entry.consumer, entry.message_id) for entry in report.missing}


def consumer(name: str) -> Consumer:
    """One of the platform's."""
    (found,) = (each for each in PLATFORM.consumers if each.name == name)
    return found


@asynccontextmanager
async def audited(databases: Databases, bus_url: str) -> AsyncIterator[Audited]:
    """Records of a platform of which nothing was said yet."""
    connection = await asyncpg.connect(databases.admin)
    try:
        world = Audited(databases, bus_url, connection)
        today = datetime.now(UTC).date()
        await world.partition(*(today + timedelta(days=n) for n in (-2, -1, 0, 1)))
        yield world
    finally:
        await connection.close()


async def eventually(is_true: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Return once it is; fail after so many seconds."""
    async with asyncio.timeout(seconds):
        while not await is_true():
            await asyncio.sleep(0.2)


def as_data(report: Report) -> dict[str, Any]:
    """The report as scripts get it."""
    data: dict[str, Any] = json.loads(json.dumps(report.as_json()))
    return data
