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
GATHER_SECONDS = 0.1  # what nobody waits for leaves together
SETTLE_SECONDS = 0.25  # marks are gathered this long: nobody waits for them
ORPHANED_AFTER = "1 second"  # younger rows are being published by the process that wrote them

Key = tuple[date, UUID]

ORPHANED = f"published_at is null and retry_at <= now() and created_at < now() - interval '{ORPHANED_AFTER}'"
LOOK = f"select exists (select from {{schema}}.outbox where {ORPHANED})"  # nearly always in vain: no transaction
CLAIM = f"""
select day, id, subject, stream, message_id, headers, body,
       extract(epoch from now() - created_at)::float8 as age
from {{schema}}.outbox where {ORPHANED}
order by id limit {BATCH} for update skip locked
"""
# A mark that a crash of the server loses is made again, after one more publish under the same id: no flush is awaited.
MARK = """
update {schema}.outbox set published_at = now()
from (select set_config('synchronous_commit', 'off', true)) as haste
where day = {day} and id = any({ids}) and published_at is null
"""
DEFER = """
update {schema}.outbox set retry_at = now() + interval '2 seconds' where day = {day} and id = any({ids})
"""
SQL = (CLAIM, MARK, DEFER)
NAMED, NUMBERED = {"day": ":day", "ids": ":ids"}, {"day": "$1", "ids": "$2"}


class Relay:
    """One per process. Every publish repeats under the row's message id until the bus confirmed it."""

    def __init__(self, database: Database, bus: Bus, service: str) -> None:
        self.database, self.bus, self.service = database, bus, service
        database.offer = self.offer
        schema = database.schema
        self._claim, self._mark_claimed, self._defer = (text(sql.format(schema=schema, **NAMED)) for sql in SQL)
        self._look, self._mark_own = LOOK.format(schema=schema), MARK.format(schema=schema, **NUMBERED)
        self._unhurried = {topic.subject for topic in database.topology.topics if topic.is_unhurried}
        self._queue: deque[OutboxRow] = deque(maxlen=BACKLOG)
        self._published: list[Key] = []
        self._nudge, self._stopping, self._paused = asyncio.Event(), False, False
        self._later: asyncio.TimerHandle | None = None
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

    def pause(self) -> None:
        """From now on leave the outbox to other processes of the service; what is on its way already arrives."""
        self._paused = True
        self._queue.clear()

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Take rows just committed; in their order they leave at once, or soon where all of them are unhurried.

        What does not fit is found by polling.
        """
        if self._paused:
            return
        self._queue.extend(rows)
        if len(self._queue) >= BATCH or any(row.outgoing.subject not in self._unhurried for row in rows):
            self._nudge.set()
        elif rows and self._later is None:
            self._later = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._nudge.set)

    async def _publish_loop(self) -> None:
        while not (self._stopping and not self._queue):
            await self._nudge.wait()
            self._nudge.clear()
            if self._later:
                self._later.cancel()
                self._later = None
            due = len(self._queue)  # what comes meanwhile has a nudge of its own, now or later
            while due and self.bus.connected:
                rows = [self._queue.popleft() for _ in range(min(BATCH, due))]
                due -= len(rows)
                await self._publish_own(rows)
            if not self.bus.connected:
                self._queue.clear()
                if self._stopping:
                    return

    async def _publish_own(self, rows: Sequence[OutboxRow]) -> None:
        try:
            done, _ = await self._publish({(r.day, r.id): r.outgoing for r in rows})
            self._published += done
        except Exception:  # the poller finds them
            log.exception("relay.failed", service=self.service)

    async def _publish(self, rows: dict[Key, Outgoing]) -> tuple[list[Key], list[Key]]:
        """Publish side by side; returns (confirmed, refused)."""
        results = await self.bus.publish_all(list(rows.values()))
        done = [key for key, error in zip(rows, results, strict=True) if error is None]
        failed = {key: error for key, error in zip(rows, results, strict=True) if error is not None}
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
            async with self.database.driver() as driver:
                for day, ids in by_day(keys):
                    await driver.fetch(self._mark_own, day, ids)

    async def _poll_loop(self) -> None:
        while True:
            try:
                found = await self.publish_orphans() if self.bus.connected and not self._paused else 0
            except PenstockError:
                found = 0
            except Exception:
                log.exception("relay.failed", service=self.service)
                found = 0
            if found < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def publish_orphans(self) -> int:
        """Publish rows that no living process is about to; returns how many were found."""
        if not await self.database.finds(self._look):
            metrics.OUTBOX_LAG.labels(self.service).set(0.0)
            return 0
        async with translated(), self.database.engine.begin() as connection:
            found = (await connection.execute(self._claim)).all()
            metrics.OUTBOX_LAG.labels(self.service).set(max((r.age for r in found), default=0.0))
            if not found:
                return 0
            rows = {(r.day, r.id): Outgoing(r.subject, r.stream, r.message_id, r.headers, bytes(r.body)) for r in found}
            done, refused = await self._publish(rows)
            for statement, keys in ((self._mark_claimed, done), (self._defer, refused)):
                for day, ids in by_day(keys):
                    await connection.execute(statement, {"day": day, "ids": ids})
        return len(found)


def by_day(keys: Sequence[Key]) -> list[tuple[date, list[UUID]]]:
    """The ids of rows by the day that they are of, which is nearly always one."""
    days: dict[date, list[UUID]] = {}
    for day, id_ in keys:
        days.setdefault(day, []).append(id_)
    return sorted(days.items())
