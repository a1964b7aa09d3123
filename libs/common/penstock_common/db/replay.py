"""Says again what a service said, after the bus lost it: the outbox is the truth from which a bus is rebuilt."""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import text

from penstock_common.contracts.platform import BusRebuilt
from penstock_common.db.transaction import Database
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.one_lane import OneLane
from penstock_common.messaging.ports import Bus, Incoming, Outgoing

log = structlog.get_logger()

BATCH = 256
HORIZON = timedelta(days=1)  # before the day of the newest message: what waited longer was not being handled either
SETTLE_SECONDS = 2.0  # what a relay published into the void is marked by then

NEWEST = "select day, id from {schema}.outbox order by day desc, id desc limit 1"
PAGE = f"""
select day, id, subject, stream, message_id, headers, body from {{schema}}.outbox
where published_at is not null and subject = any(:subjects) and day >= :oldest and (day, id) <= (:day, :id)
order by day desc, id desc limit {BATCH + 1}
"""


class Replay:
    """Receives the word that the bus was rebuilt, in one process of the service, and publishes the outbox again.

    Every consumer knows what it handled before by its inbox; a topic without consumers had nothing to lose. Commands of
    interactive requests, queries and broadcasts are in no outbox: whoever waits for their answer asks again.
    """

    def __init__(self, database: Database, bus: Bus, service: str) -> None:
        self._database, self._bus = database, bus
        lane = database.topology.upkeep.get(service)
        self._received = OneLane(bus, lane, self._on_bus_rebuilt) if lane else None
        self._newest, self._page = (text(sql.format(schema=database.schema)) for sql in (NEWEST, PAGE))
        self._subjects = sorted({consumer.topic.subject for consumer in database.topology.consumers})

    def start(self) -> None:
        """Receive as soon as the lane is there."""
        if self._received:
            self._received.start()

    async def stop(self) -> None:
        """Receive no more; what is not said again yet is for the next process."""
        if self._received:
            await self._received.stop()

    async def newest(self) -> Any:
        """The place of the newest row: what is written after it goes to the new bus. None where there is none."""
        async with self._database.reading() as connection:
            return (await connection.execute(self._newest)).one_or_none()

    async def publish_again(self, newest: Any) -> int:
        """Publish, from this place backwards, as the oldest were most likely handled; returns how many.

        Raises BusUnavailable, DatabaseUnavailable: the next attempt begins from the newest.
        """
        count, cursor = 0, newest
        while cursor:
            place = {"day": cursor.day, "id": cursor.id, "oldest": newest.day - HORIZON}
            rows = await self._rows(place | {"subjects": self._subjects})
            await asyncio.gather(*(self._bus.publish(outgoing_of(row)) for row in rows[:BATCH]))
            count += len(rows[:BATCH])
            cursor = rows[BATCH] if len(rows) > BATCH else None
        return count

    async def _rows(self, given: dict[str, object]) -> list[Any]:
        async with self._database.reading() as connection:
            return list((await connection.execute(self._page, given)).all())

    async def _on_bus_rebuilt(self, message: Incoming) -> None:
        event = opened(message, BusRebuilt)
        newest = await self.newest()
        await asyncio.sleep(SETTLE_SECONDS)
        count = await self.publish_again(newest)
        log.info("outbox.replayed", service=self._database.schema, count=count, lost_at=event.rebuilt_at.isoformat())


def outgoing_of(row: Any) -> Outgoing:
    """An outbox row as the message that it was, under its own id."""
    return Outgoing(row.subject, row.stream, row.message_id, row.headers, bytes(row.body))
