"""What is done once an hour: days are compared and closed, and what retention allows is dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog

from penstock_common.archive import metrics
from penstock_common.archive.closing import DayUnsettled, catch_up, close_day
from penstock_common.archive.day import read_day, sizes_of
from penstock_common.archive.layout import CLOSED, archived_days, closed_key, day_folder, index_key
from penstock_common.archive.source import Source, begin
from penstock_common.db.dropping import days_kept, drop_inbox_day, drop_outbox_day
from penstock_common.messaging.topology import Kind, Topology
from penstock_common.objects import Objects
from penstock_common.settings import ArchiveSettings

log = structlog.get_logger()

CLOSE_AFTER = timedelta(hours=1)
"""After a day's end: whatever was held back while the database was away has come by then."""
AUDITED = ("billing",)
"""Services whose events are kept as long as the audit log."""


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days a service's messages are kept, and where."""

    outbox: int
    """Then only the archive has them."""
    archive: int
    """Then they are gone."""
    inbox: int
    """As long as anything that this service hears can be said again."""


def retention_of(service: str, topology: Topology, settings: ArchiveSettings) -> Retention:
    """What the settings mean for one service."""
    heard = {row.topic.owner for row in topology.rows if row.service == service and row.topic.kind is Kind.EVENT}
    longest = max((_archived_days(owner, settings) for owner in heard), default=0)
    return Retention(settings.hot_days, _archived_days(service, settings), max(longest, settings.hot_days) + 1)


def _archived_days(service: str, settings: ArchiveSettings) -> int:
    return settings.audit_days if service in AUDITED else settings.cold_days


class Upkeep:
    """Of one service; the caller holds the right to archive it."""

    def __init__(self, objects: Objects, topology: Topology, service: str, settings: ArchiveSettings) -> None:
        self._objects, self._service, self._drops = objects, service, settings.drop
        self._keep = retention_of(service, topology, settings)
        self._closed: set[date] = set()

    async def run(self, source: Source, settled: datetime) -> None:
        """Everything that is due. Raises Overtaken, ObjectsUnavailable, asyncpg's errors; what was done stays."""
        today = settled.date()
        for day in await days_kept(source.connection, self._service, "outbox"):
            try:
                await self._look_after(source, day, settled)
            except DayUnsettled as error:  # the other days are not to wait for it
                metrics.FAILURES.labels(self._service).inc()
                log.error("archive.unsettled", service=self._service, day=str(day), reason=error.message)
        if self._drops:
            await self._drop_inbox(source, today)
            await self._expire(today, await days_kept(source.connection, self._service, "outbox"))

    async def _look_after(self, source: Source, day: date, settled: datetime) -> None:
        if settled < begin(day + timedelta(days=1)) + CLOSE_AFTER:
            await catch_up(self._objects, source, day, settled)
            return
        await self._close_once(source, day, settled)
        if self._drops and (settled.date() - day).days > self._keep.outbox:
            await self._drop_outbox(source, day, settled)

    async def _close_once(self, source: Source, day: date, settled: datetime) -> None:
        if day not in self._closed:
            if CLOSED not in await sizes_of(self._objects, self._service, day):
                await close_day(self._objects, source, day, settled)
            self._closed.add(day)

    async def _drop_outbox(self, source: Source, day: date, settled: datetime) -> None:
        """Read the day back once more: the outbox is what it could be mended from."""
        closed = await close_day(self._objects, source, day, settled)
        if refusal := await drop_outbox_day(source.connection, self._service, day, closed.count):
            log.warning("partition.kept", service=self._service, table="outbox", day=str(day), reason=refusal)
            return
        self._closed.discard(day)
        self._dropped("outbox", day)

    async def _drop_inbox(self, source: Source, today: date) -> None:
        for day in await days_kept(source.connection, self._service, "inbox"):
            if (today - day).days > self._keep.inbox:
                await drop_inbox_day(source.connection, self._service, day)
                self._dropped("inbox", day)

    def _dropped(self, table: str, day: date) -> None:
        metrics.DROPPED.labels(self._service).inc()
        log.info("partition.dropped", service=self._service, table=table, day=str(day))

    async def _expire(self, today: date, in_outbox: Sequence[date]) -> None:
        """Oldest first; of a day its description, then the indexes from the last on: what is left is always whole."""
        async for day in archived_days(self._objects, self._service):
            if (today - day).days <= self._keep.archive:
                return
            if day in in_outbox:
                continue
            found = await read_day(self._objects, self._service, day)
            folder = day_folder(self._service, day)
            await self._objects.delete(closed_key(self._service, day))
            for number in range(found.highest, 0, -1):
                await self._objects.delete(index_key(self._service, day, number))
            for name in found.sizes:
                await self._objects.delete(f"{folder}/{name}")
            log.info("archive.expired", service=self._service, day=str(day))
