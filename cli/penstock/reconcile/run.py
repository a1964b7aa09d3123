"""Where the records are, and how long to wait for what is still under way."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import asyncpg

from penstock.platform.errors import NotRunning, PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import running
from penstock.reconcile.comparison import compare_records
from penstock.reconcile.report import Report
from penstock_common.errors import Fault

PAUSE = 0.5  # seconds
ENGINE_FILES = "sim"


class CannotTell(PlatformError):
    """The records can't be read."""

    code = "cli.records_unreachable"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Records:
    """Where they are."""

    database: str
    """For a role that reads the schemas of all services."""
    engine_files: Path | None
    """The folder that the simulated engine writes to; None where it is not on this machine."""


def records_of(data: Path | None, database: str | None) -> Records:
    """Those of the running platform, or of the given database. Raises CannotTell."""
    folder = DataFolder.at(data)
    if database:
        return Records(database, folder.root / ENGINE_FILES if data else None)
    try:
        return Records(running(folder).audit_database, folder.root / ENGINE_FILES)
    except NotRunning as error:
        raise CannotTell(f"{error.message} Or name the database: --database postgresql://…") from error


async def reconcile(records: Records, settle: float) -> Report:
    """Compare until what may settle has settled, or lasted `settle` seconds. Raises CannotTell."""
    deadline = time.monotonic() + settle
    report = await _compare(records)
    lasting = report.unsettled
    while lasting and time.monotonic() < deadline:
        await asyncio.sleep(PAUSE)
        report = await _compare(records)
        lasting &= report.unsettled
    report.keep(lasting)
    return report


async def _compare(records: Records) -> Report:
    try:
        return await compare_records(records.database, records.engine_files)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise CannotTell(f"The records can't be read: {error or type(error).__name__}") from error
