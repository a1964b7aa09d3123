"""What retention would drop, and what stands in its way: a dry run of what services do by themselves."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

import asyncpg

from penstock.events.source import reading
from penstock.progress import progress
from penstock.tables import console, table
from penstock_common.archive.day import read_day
from penstock_common.archive.layout import archived_days
from penstock_common.archive.upkeep import Retention, retention_of
from penstock_common.db.dropping import day_refusal, days_kept
from penstock_common.events.outbox import services_with_outbox
from penstock_common.objects import Objects
from penstock_common.settings import ArchiveSettings
from penstock_common.topology import PLATFORM


@dataclass(frozen=True, slots=True)
class Due:
    """A day past its time."""

    service: str
    what: str
    """outbox, inbox or archive."""
    day: str
    refusal: str
    """Why it stays; empty where it is dropped at the next turn."""


async def print_due(objects: Objects, database: str, settings: ArchiveSettings, *, as_json: bool) -> None:
    """Print what is past its time; nothing is changed, and nothing is read back."""
    today, found = datetime.now(UTC).date(), []
    async with reading(database) as connection:
        services = await services_with_outbox(connection)
        with progress("looking", len(services)) as advance:
            for service in services:
                keep = retention_of(service, PLATFORM, settings)
                found += [due async for due in _due(objects, connection, service, keep, today)]
                advance()
    if as_json:
        print(json.dumps([asdict(due) for due in found]))
    elif not found:
        print("Nothing is past its time.")
    else:
        shown = table("service", "what", "day", "stays because")
        for due in found:
            shown.add_row(due.service, due.what, due.day, due.refusal or "-")
        console().print(shown)


async def _due(
    objects: Objects, connection: asyncpg.Connection, service: str, keep: Retention, today: date
) -> AsyncIterator[Due]:
    outbox = await days_kept(connection, service, "outbox")
    for day in outbox:
        if (today - day).days > keep.outbox:
            archived = await read_day(objects, service, day)
            closed = archived.closed.count if archived.closed else None
            yield Due(service, "outbox", str(day), await day_refusal(connection, service, day, closed))
    for day in await days_kept(connection, service, "inbox"):
        if (today - day).days > keep.inbox:
            yield Due(service, "inbox", str(day), "")
    async for day in archived_days(objects, service):
        if (today - day).days > keep.archive:
            yield Due(service, "archive", str(day), "the outbox still has it" if day in outbox else "")
