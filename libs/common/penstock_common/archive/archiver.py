"""Archives a service's events from its outbox, as far as that is settled."""

import time
from datetime import UTC, date, datetime
from uuid import UUID

import structlog
from sqlalchemy import text

from penstock_common.archive import metrics
from penstock_common.archive.day import newest_segment, numbers_in, sizes_of
from penstock_common.archive.layout import archived_days
from penstock_common.archive.source import LOOK, Source, archiving
from penstock_common.archive.upkeep import Upkeep
from penstock_common.archive.writing import Draft, Overtaken
from penstock_common.db.engine import translated
from penstock_common.db.transaction import Database
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import first_id
from penstock_common.ids import day_made, time_of
from penstock_common.objects import Objects
from penstock_common.periodic import Periodic
from penstock_common.settings import ArchiveSettings
from penstock_common.tracing.spans import Kind, span

log = structlog.get_logger()

UPKEEP_SECONDS = 3600.0


class Archiver:
    """One per process; of the processes of a service one at a time archives, in turns of some seconds."""

    def __init__(self, database: Database, url: str, objects: Objects, settings: ArchiveSettings) -> None:
        self._database, self._url, self._objects, self._settings = database, url, objects, settings
        self._service = database.schema
        self._upkeep = Upkeep(objects, database.topology, self._service, settings)
        self._look = text(LOOK.format(schema=database.schema))
        self._seen: UUID | None = None
        """What is settled up to here is archived, as far as this process knows."""
        self._upkeep_at = 0.0
        self._periodic = Periodic(settings.every, self.turn, "archive.failed")

    def start(self) -> None:
        """Begin; the first turn is after one interval."""
        self._periodic.start()

    async def stop(self) -> None:
        """Archive no more; what was not finished is as if it had not begun."""
        await self._periodic.stop()

    async def turn(self) -> None:
        """Look whether something is due, which costs one query; do it unless another process does.

        Raises DatabaseUnavailable, ObjectsUnavailable and whatever else a turn failed by: the next one tries again.
        """
        try:
            async with translated():
                if await self._is_due():
                    await self._work()
        except Overtaken:
            log.info("archive.overtaken", service=self._service)
        except Exception:
            metrics.FAILURES.labels(self._service).inc()
            raise

    async def _is_due(self) -> bool:
        seen = self._seen or UUID(int=0)
        given = {"settle": self._settings.settle, "day": day_made(seen), "seen": seen}
        async with self._database.reading() as connection:
            row = (await connection.execute(self._look, given)).one()
        waits = row.first is not None and time_of(row.first) < row.settled
        age = (datetime.now(UTC) - time_of(row.first)).total_seconds() if waits else 0.0
        metrics.WAITING.labels(self._service).set(age)
        if self._seen and not waits:
            self._seen = max(self._seen, first_id(row.settled))
        return waits or self._seen is None or time.monotonic() >= self._upkeep_at

    async def _work(self) -> None:
        async with archiving(self._url, self._service) as source:
            if source is None:
                return
            with span(f"archive {self._service}", Kind.INTERNAL):
                settled = await source.settled(self._settings.settle)
                newest = await advance(self._objects, source, settled)
                self._seen = max(self._seen or newest, newest, first_id(settled))
                if newest.int:
                    metrics.NEWEST.labels(self._service).set((settled - time_of(newest)).total_seconds())
                if time.monotonic() >= self._upkeep_at:
                    await self._upkeep.run(source, settled)
                    self._upkeep_at = time.monotonic() + UPKEEP_SECONDS


async def advance(objects: Objects, source: Source, until: datetime) -> UUID:
    """Archive what comes behind the newest archived event, up to a moment; returns the id of the then newest, else 0.

    Raises Overtaken, ObjectsUnavailable, asyncpg's errors; what was written stays, and the next call goes on behind it.
    """
    last, drafts = await newest_archived(objects, source.service), Drafts(objects, source.service)
    async for event in source.events(until, last if last.int else None):
        await drafts.add(event)
        last = event.id
    await drafts.write()
    if drafts.count:
        log.info("archive.written", service=source.service, count=drafts.count, segments=drafts.segments)
    return last


async def newest_archived(objects: Objects, service: str) -> UUID:
    """The id up to which every event is archived that was there in time; 0 where none is."""
    async for day in archived_days(objects, service, newest_first=True):
        segment, _ = await newest_segment(objects, service, day)
        if segment:
            return segment.last
    return UUID(int=0)


class Drafts:
    """Events in their order, as one segment after another; none holds two days."""

    def __init__(self, objects: Objects, service: str) -> None:
        self._objects, self._service = objects, service
        self._draft: Draft | None = None
        self.count, self.segments = 0, 0

    async def add(self, event: StoredEvent) -> None:
        """Take the next one."""
        if self._draft and (self._draft.day != event.day or self._draft.is_full):
            await self.write()
        self._draft = self._draft or Draft(self._service, event.day, await self._number(event.day))
        await self._draft.add(event)

    async def write(self) -> None:
        """Write what there is."""
        if self._draft:
            self.count += (await self._draft.write(self._objects)).count
            self.segments += 1
            self._draft = None

    async def _number(self, day: date) -> int:
        return max(numbers_in(await sizes_of(self._objects, self._service, day)), default=0) + 1
