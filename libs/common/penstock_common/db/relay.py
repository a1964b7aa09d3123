"""Publishes outbox rows: at once when this process wrote them, by polling whatever another left behind."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import structlog
from sqlalchemy import text

from penstock_common.db.engine import translated
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database
from penstock_common.errors import PenstockError
from penstock_common.messaging import metrics
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.ports import Bus, Outgoing

log = structlog.get_logger()

BATCH = 256
BACKLOG = 10_000  # rows in memory; beyond that the poller finds them in the table
POLL_SECONDS = 0.5
SETTLE_SECONDS = 0.05  # marks are gathered this long: nobody waits for them
ORPHANED_AFTER = "1 second"  # younger rows are being published by the process that wrote them

Key = tuple[date, UUID]

CLAIM = f"""
select day, id, subject, stream, message_id, headers, body,
       extract(epoch from now() - created_at)::float8 as age
from {{schema}}.outbox
where published_at is null and retry_at <= now() and created_at < now() - interval '{ORPHANED_AFTER}'
order by id limit {BATCH} for update skip locked
"""
MARK = """
update {schema}.outbox o set published_at = now()
from unnest(cast(:day as date[]), cast(:id as uuid[])) as g(day, id)
where o.day = g.day and o.id = g.id and o.published_at is null
"""
DEFER = """
update {schema}.outbox o set retry_at = now() + interval '2 seconds'
from unnest(cast(:day as date[]), cast(:id as uuid[])) as g(day, id) where o.day = g.day and o.id = g.id
"""
SQL = (CLAIM, MARK, DEFER)


class Relay:
    """One per process. Every publish repeats under the row's message id until the bus confirmed it."""

    def __init__(self, database: Database, bus: Bus, service: str) -> None:
        self.database, self.bus, self.service = database, bus, service
        database.offer = self.offer
        self._claim, self._mark_published, self._defer = (text(sql.format(schema=database.schema)) for sql in SQL)
        self._queue: deque[OutboxRow] = deque(maxlen=BACKLOG)
        self._published: list[Key] = []
        self._nudge, self._stopping = asyncio.Event(), False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin publishing."""
        self._tasks = [asyncio.create_task(loop()) for loop in (self._publish_loop, self._mark_loop, self._poll_loop)]

    async def stop(self) -> None:
        """Publish what waits in memory, mark it, and end."""
        if not self._tasks:
            return
        self._stopping = True
        self._nudge.set()
        publishing, marking, polling = self._tasks
        polling.cancel()
        marking.cancel()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(publishing, 3)
        with contextlib.suppress(PenstockError):
            await self._mark()

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Take rows just committed. What does not fit is found by polling."""
        self._queue.extend(rows)
        self._nudge.set()

    async def _publish_loop(self) -> None:
        while not (self._stopping and not self._queue):
            await self._nudge.wait()
            self._nudge.clear()
            while self._queue and self.bus.connected:
                rows = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                done, _ = await self._publish({(r.day, r.id): r.outgoing for r in rows})
                self._published += done
            if not self.bus.connected:
                self._queue.clear()
                if self._stopping:
                    return

    async def _publish(self, rows: dict[Key, Outgoing]) -> tuple[list[Key], list[Key]]:
        """Publish side by side; returns (confirmed, refused)."""
        results = await asyncio.gather(*(self.bus.publish(o) for o in rows.values()), return_exceptions=True)
        done = [key for key, result in zip(rows, results, strict=True) if result is None]
        failed = {key: r for key, r in zip(rows, results, strict=True) if isinstance(r, BaseException)}
        for key, error in failed.items():
            log.warning("outbox.refused", subject=rows[key].subject, id=str(key[1]), reason=describe(error))
        metrics.PUBLISHED.labels(self.service).inc(len(done))
        return done, list(failed)

    async def _mark_loop(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            with contextlib.suppress(PenstockError):
                await self._mark()

    async def _mark(self) -> None:
        if keys := self._published:
            self._published = []
            async with self.database.reading() as connection:
                await connection.execute(self._mark_published, arrays(keys))

    async def _poll_loop(self) -> None:
        while True:
            try:
                found = await self.publish_orphans() if self.bus.connected else 0
            except PenstockError:
                found = 0
            except Exception:
                log.exception("relay.failed", service=self.service)
                found = 0
            if found < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def publish_orphans(self) -> int:
        """Publish rows that no living process is about to; returns how many were found."""
        async with translated(), self.database.engine.begin() as connection:
            found = (await connection.execute(self._claim)).all()
            metrics.OUTBOX_LAG.labels(self.service).set(max((r.age for r in found), default=0.0))
            if not found:
                return 0
            rows = {(r.day, r.id): Outgoing(r.subject, r.stream, r.message_id, r.headers, bytes(r.body)) for r in found}
            done, refused = await self._publish(rows)
            for statement, keys in ((self._mark_published, done), (self._defer, refused)):
                if keys:
                    await connection.execute(statement, arrays(keys))
        return len(found)


def arrays(keys: Sequence[Key]) -> dict[str, list[object]]:
    """Row keys as the parameters `day` and `id`."""
    return {"day": [d for d, _ in keys], "id": [i for _, i in keys]}
