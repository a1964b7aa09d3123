"""Compares days of the archive with the outbox, by ids; what is missing or damaged is archived again."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from uuid import UUID

import structlog

from penstock_common.archive import metrics
from penstock_common.archive.damage import Damage
from penstock_common.archive.day import Day, leftovers, read_day
from penstock_common.archive.layout import closed_key, data_key
from penstock_common.archive.reading import day_events
from penstock_common.archive.segment import Closed, Part, Segment, sealed
from penstock_common.archive.source import Source
from penstock_common.archive.writing import Draft
from penstock_common.errors import Fault, PenstockError
from penstock_common.events.selection import Selection
from penstock_common.objects import Objects

log = structlog.get_logger()

NONE = UUID(int=0)
PASSES = 5
"""A day is right after one; damage costs two more, late commits one."""


class DayUnsettled(PenstockError):
    """A day of the archive is damaged again and again, or still grows: look at its storage."""

    code = "common.archive_day_unsettled"
    fault = Fault.UNAVAILABLE


@dataclass
class Pass:
    """What one comparison of a day found."""

    count: int = 0
    """Events of the outbox that are in the archive."""
    written: int = 0
    """Events that were not, and are now."""
    damaged: list[Damage] = field(default_factory=list)


async def close_day(objects: Objects, source: Source, day: date, until: datetime) -> Closed:
    """Read a day back, complete it from the outbox, and describe it as it then is.

    A process that dies anywhere in this leaves a day that is not closed, or the description that it had. Raises
    DayUnsettled, ObjectsUnavailable, Overtaken, asyncpg's errors.
    """
    unfit: set[int] = set()
    for _ in range(PASSES):
        found = await read_day(objects, source.service, day)
        unfit |= {damage.segment for damage in found.damaged}
        kept = without(found, unfit)
        outcome = await compare(objects, source, kept, until)
        for damage in (*found.damaged, *outcome.damaged):
            log.error("archive.damaged", service=source.service, key=damage.key, reason=damage.reason)
            metrics.DAMAGED.labels(source.service).inc()
        unfit |= {damage.segment for damage in outcome.damaged}
        if not outcome.written and not outcome.damaged:
            return await _close(objects, kept, outcome.count)
    raise DayUnsettled(f"{source.service}, {day}: still incomplete after {PASSES} comparisons with the outbox.")


async def compare(objects: Objects, source: Source, day: Day, until: datetime) -> Pass:
    """Archive what the outbox holds of a day up to a moment and the archive does not; both are read in order."""
    outcome, draft, number = Pass(), None, day.highest
    regular = max((segment.last for segment in day.segments if not segment.late), default=NONE)
    archived = day_events(objects, day, Selection(), outcome.damaged.append)
    known = await anext(archived, None)
    async for stored in source.ids(day.day, until):
        while known and known.id < stored.id:
            known = await anext(archived, None)
        if known and known.id == stored.id:
            outcome.count += 1
            continue
        late = stored.id < regular
        if draft is None or draft.is_full or draft.late != late:
            number += 1
            draft = await _next(objects, draft, Draft(day.service, day.day, number, late=late))
        await draft.add(await source.event(stored.id))
        outcome.written += 1
    if draft:
        await draft.write(objects)
    while known:
        known = await anext(archived, None)
    return outcome


async def _next(objects: Objects, full: Draft | None, following: Draft) -> Draft:
    if full:
        await full.write(objects)
    return following


async def catch_up(objects: Objects, source: Source, day: date, until: datetime) -> int:
    """Of a day that still grows, archive what was committed behind younger events; returns how many there were."""
    found = await read_day(objects, source.service, day)
    if not found.segments:
        return 0
    last = max(segment.last for segment in found.segments)
    if await source.count(day, last) == found.count and not found.damaged:
        return 0
    kept = without(found, {damage.segment for damage in found.damaged})
    return (await compare(objects, source, kept, until)).written


def without(day: Day, numbers: Collection[int]) -> Day:
    """A day without some of its segments."""
    return replace(day, segments=tuple(each for each in day.segments if each.number not in numbers))


async def _close(objects: Objects, day: Day, count: int) -> Closed:
    parts = tuple(part_of(segment) for segment in day.segments)
    made = Closed(
        service=day.service,
        day=day.day,
        closed_at=datetime.now(UTC),
        count=count,
        segments=parts,
        highest=day.highest,
    )
    if day.closed and (day.closed.count, day.closed.segments) == (count, parts):
        return day.closed
    if parts:
        await objects.put(closed_key(day.service, day.day), sealed(made))
        log.info("archive.closed", service=day.service, day=day.day.isoformat(), count=count, segments=len(parts))
    for name in leftovers(replace(day, closed=made)):
        await objects.delete(data_key(day.service, day.day, name))
    return made


def part_of(segment: Segment) -> Part:
    """A segment as a closed day names it."""
    return Part(
        number=segment.number,
        data=segment.data,
        bytes=segment.bytes,
        sha256=segment.sha256,
        count=segment.count,
    )
