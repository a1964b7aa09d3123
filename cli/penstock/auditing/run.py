"""Audits once, or again and again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ClassVar

import asyncpg

from penstock.auditing.judging import Rules, lanes_of
from penstock.auditing.look import Look
from penstock.auditing.notes import DAYS_KEPT, Notes
from penstock.auditing.reading import DAY, snapshot
from penstock.auditing.records import Record, records, unaudited
from penstock.auditing.report import Report
from penstock.platform.errors import NotRunning, PlatformError
from penstock.platform.files import read_json
from penstock.platform.folder import DataFolder
from penstock.platform.state import running
from penstock_common.errors import BusUnavailable, Fault
from penstock_common.messaging.connect import make_inspector
from penstock_common.messaging.inspection import BusRefused, BusState
from penstock_common.topology import PLATFORM

CONNECT_SECONDS = 5.0
PAUSE = 5.0  # seconds
UNREADABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


class CannotAudit(PlatformError):
    """The bus or the database can't be read."""

    code = "cli.audit_unreadable"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 2


class NoSuchConsumer(PlatformError):
    """The topology has no such consumer."""

    code = "cli.no_such_consumer"
    fault = Fault.MISSING
    exit_status: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read."""

    database: str
    """URL of a role that may read all schemas."""
    bus: str


@dataclass(frozen=True)
class Audit:
    """What to compare, and how patiently."""

    sources: Sources
    records: tuple[Record, ...]
    rules: Rules = field(default_factory=Rules)

    async def look(self, notes: Notes, *, thorough: bool = False) -> tuple[Report, BusState]:
        """One look; changes the notes for the next one. Raises CannotAudit."""
        began = time.monotonic()
        bus = await self.bus()
        async with self._connection() as connection, snapshot(connection) as reader:
            notes.forget(reader.now.date() - DAYS_KEPT * DAY)
            lanes = lanes_of(bus, PLATFORM)
            report = await Look(reader, self.records, lanes, notes, self.rules).run(thorough=thorough)
        report.seconds = time.monotonic() - began
        report.unaudited = {c.name: reason for c in PLATFORM.consumers if (reason := unaudited(c))}
        return report, bus

    async def bus(self) -> BusState:
        """What the bus holds now. Raises CannotAudit."""
        try:
            return await make_inspector(self.sources.bus).look(PLATFORM)
        except BusRefused as error:
            raise CannotAudit("The bus refuses this user or password: correct --bus.") from error
        except BusUnavailable as error:
            raise CannotAudit(f"The bus can't be read: {error.message}") from error
        except ValueError as error:
            raise CannotAudit(f"The bus can't be read: {error}. Correct --bus.") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Each statement is planned for what it is given: a plan for any day would look at all."""
        try:
            connection = await asyncpg.connect(
                self.sources.database, timeout=CONNECT_SECONDS, statement_cache_size=0, command_timeout=None
            )
            try:
                yield connection
            finally:
                await connection.close()
        except asyncpg.UndefinedTableError as error:
            raise CannotAudit(f"The database lacks {error}: run penstock migrate.") from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise CannotAudit(f"{error}: the audit needs a role that reads all schemas.") from error
        except UNREADABLE as error:
            raise CannotAudit(f"The database can't be read: {error or type(error).__name__}") from error


def sources_of(data: Path | None, bus: str | None, database: str | None) -> Sources:
    """Those of the running platform, or those given. Raises CannotAudit."""
    if bus and database:
        return Sources(database, bus)
    folder = DataFolder.at(data)
    if read_json(folder.bus).get("moving_to"):
        raise CannotAudit("The platform is on its way to another bus: audit it once it is there (penstock status).")
    try:
        state = running(folder)
    except NotRunning as error:
        raise CannotAudit(f"{error.message} Or name both: --bus nats://… --database postgresql://…") from error
    return Sources(database or state.audit_database, bus or state.bus)


def chosen(consumer: str | None) -> tuple[Record, ...]:
    """All consumers, or the one of this name. Raises NoSuchConsumer."""
    found = tuple(record for record in records() if consumer in (None, record.name))
    if found:
        return found
    names = [record.name for record in records()]
    reason = next((reason for c in PLATFORM.consumers if c.name == consumer and (reason := unaudited(c))), "")
    raise NoSuchConsumer(f"{consumer} {'can not be audited: ' + reason if reason else 'is no consumer'}. "
                         f"One of: {', '.join(names)}.")  # fmt: skip


async def audit(work: Audit, since: date, settle: float) -> Report:
    """Look until nothing is in doubt, or for `settle` seconds. Raises CannotAudit."""
    deadline = time.monotonic() + settle
    notes = Notes(since=since)
    report, _ = await work.look(notes, thorough=True)
    while report.doubted and time.monotonic() < deadline:
        await asyncio.sleep(min(PAUSE, work.rules.confirm))
        took = report.seconds
        report, _ = await work.look(notes)
        report.seconds += took
    return report


def today() -> date:
    """The UTC day that it is."""
    return datetime.now(UTC).date()


def only(report: Report, consumer: str | None) -> Report:
    """What a report says of one consumer."""
    if consumer is None:
        return report
    return replace(
        report,
        tallies=[tally for tally in report.tallies if tally.consumer == consumer],
        unsaid=[odd for odd in report.unsaid if odd.consumer == consumer],
        overdue=[],
        unaudited={},
    )
