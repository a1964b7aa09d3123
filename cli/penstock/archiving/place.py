"""Which archive is meant, and which days of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from penstock.platform.credentials import SERVICES
from penstock.platform.errors import NotRunning, PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import running
from penstock_common.archive.layout import archived_days, archived_services
from penstock_common.errors import Fault
from penstock_common.objects import Objects
from penstock_common.objects_url import objects_at

NAMED = "PENSTOCK_ARCHIVE"


class ArchiveChoiceInvalid(PlatformError):
    """An option about the archive can't be understood."""

    code = "cli.archive_choice_invalid"
    fault = Fault.INVALID
    exit_status = 2


@dataclass(frozen=True, slots=True)
class Days:
    """Which days of which services are meant; what is left empty asks for nothing."""

    services: Sequence[str] = ()
    since: date | None = None
    until: date | None = None
    """The last one."""


def archive_url(data: Path | None, url: str | None) -> str:
    """The given address, else the environment's, that of the running platform, or the folder of the data folder."""
    folder = DataFolder.at(data)
    if named := url or os.environ.get(NAMED):
        return named
    try:
        return running(folder).archive or str(folder.archive)
    except NotRunning:
        return str(folder.archive)


def archive_of(data: Path | None, url: str | None) -> Objects:
    """The archive that is meant. Raises ObjectsUrlInvalid."""
    return objects_at(archive_url(data, url))


def days_of(services: Sequence[str], since: str, until: str) -> Days:
    """The days that the options describe. Raises ArchiveChoiceInvalid."""
    if unknown := sorted(set(services) - set(SERVICES)):
        raise ArchiveChoiceInvalid(f"--service: there is no {unknown[0][:40]!r}; there are {', '.join(SERVICES)}.")
    return Days(services, _day("--since", since), _day("--until", until))


async def chosen(objects: Objects, days: Days) -> list[tuple[str, date]]:
    """(service, day) of what is archived and meant, in their order. Raises ObjectsUnavailable."""
    return [
        (service, day)
        for service in await archived_services(objects)
        if not days.services or service in days.services
        async for day in archived_days(objects, service)
        if (days.since is None or day >= days.since) and (days.until is None or day <= days.until)
    ]


def _day(option: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ArchiveChoiceInvalid(f"{option}: {text[:40]!r} is no day; write it as 2026-11-30.") from error
