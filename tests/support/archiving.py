"""An outbox with a past, and storages to archive it in."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from penstock.archiving.place import Days, chosen
from penstock_common.archive.day import read_day
from penstock_common.archive.reading import archived_events
from penstock_common.archive.source import Source
from penstock_common.contracts.base import Contract
from penstock_common.contracts.keys import KeyCreated, KeyRevoked
from penstock_common.db.outbox import OutboxRow
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import outbox_events
from penstock_common.events.selection import Selection
from penstock_common.ids import day_made, uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.topology import Kind
from penstock_common.objects import Objects
from penstock_common.topology import PLATFORM

SERVICE = "trial"
BUCKET = "archive"
INSERT = """
insert into {0}.outbox (day, id, subject, stream, message_id, headers, body, created_at, published_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
PARTITION = """
create table if not exists {0}.outbox_{1:%Y%m%d} partition of {0}.outbox for values from ('{1}') to ('{2}')
"""


def ago(**past: float) -> datetime:
    """A moment so long before now."""
    return datetime.now(UTC) - timedelta(**past)


def id_at(moment: datetime) -> UUID:
    """A row made then."""
    return uuid7(int(moment.timestamp() * 1000))


def key_revoked(tenant: UUID | None = None) -> KeyRevoked:
    """An event."""
    return KeyRevoked(key_id=uuid7(), tenant=tenant or uuid7(), version=1)


def key_created() -> KeyCreated:
    """Another."""
    return KeyCreated(key_id=uuid7(), tenant=uuid7(), version=1)


@dataclass(frozen=True)
class Outbox:
    """One service's, with rows of any age."""

    connection: asyncpg.Connection
    service: str = SERVICE

    async def say(
        self, moment: datetime, message: Contract | None = None, *, published: bool = True, id_: UUID | None = None
    ) -> UUID:
        """A row with an id of that moment; returns it."""
        message = message or key_revoked()
        row = OutboxRow(id_ or id_at(moment), envelop(message, PLATFORM.topic(type(message))))
        await self.connection.execute(INSERT.format(self.service), *row.values, moment, moment if published else None)
        return row.id

    async def say_many(self, moment: datetime, count: int) -> list[UUID]:
        """So many rows, a millisecond after another."""
        topic = PLATFORM.topic(KeyRevoked)
        moments = [moment + timedelta(milliseconds=n) for n in range(count)]
        rows = [OutboxRow(id_at(each), envelop(key_revoked(), topic)) for each in moments]
        values = [(*row.values, each, each) for row, each in zip(rows, moments, strict=True)]
        await self.connection.executemany(INSERT.format(self.service), values)
        return [row.id for row in rows]

    async def make_partition(self, moment: datetime) -> None:
        """A partition of its own for the day of a moment."""
        day = moment.date()
        await self.connection.execute(PARTITION.format(self.service, day, day + timedelta(days=1)))

    async def events(self) -> list[StoredEvent]:
        """All that is in it, as the readers of outboxes have it."""
        return [
            each
            async for each in outbox_events(self.connection, [self.service], Selection(kinds=frozenset({Kind.EVENT})))
        ]

    @property
    def source(self) -> Source:
        """As the archive reads it."""
        return Source(self.connection, self.service)


async def archived(objects: Objects, selection: Selection | None = None) -> list[StoredEvent]:
    """What the archive gives; nothing of it is damaged."""
    damaged: list[object] = []
    found = [event async for event in archived_events(objects, selection or Selection(), damaged.append)]
    assert not damaged
    return found


async def counted(objects: Objects) -> int:
    """How many events the indexes speak of: more than are given where something was archived twice."""
    return sum([(await read_day(objects, service, day)).count for service, day in await chosen(objects, Days())])


async def keys(objects: Objects) -> list[str]:
    """Everything that lies in a storage."""
    return sorted([stored.key async for stored in objects.list("events")])


def days_of(ids: Sequence[UUID]) -> set[str]:
    """The days of rows."""
    return {day_made(id_).isoformat() for id_ in ids}


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """A server that speaks S3, with an empty bucket; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    program = str(Path(sys.executable).with_name("moto_server"))
    with log.open("wb") as output:
        server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output)
    try:
        while True:
            assert server.poll() is None, log.read_text()
            with suppress(OSError):
                urllib.request.urlopen(f"{url}/").close()
                break
            time.sleep(0.05)
        yield url
    finally:
        server.kill()
        server.wait()


def make_bucket(url: str, name: str) -> None:
    """An empty bucket, as any client asks for one."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT")).close()


def account_at(url: str) -> dict[str, str]:
    """The environment by which clients find the server."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIA-of-a-test",
        "AWS_SECRET_ACCESS_KEY": "secret-of-a-test",
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "PATH": os.environ["PATH"],
    }
