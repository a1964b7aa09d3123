"""Reads archived events as one sequence in the order of time; holds one member a segment in memory."""

import heapq
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from uuid import UUID

from penstock_common.archive.damage import Damage, Report
from penstock_common.archive.day import Day, read_day
from penstock_common.archive.layout import archived_days, archived_services, data_key
from penstock_common.archive.segment import Member, Segment, unpack
from penstock_common.errors import ContractViolated
from penstock_common.events.cloudevents import parse_line
from penstock_common.events.event import StoredEvent, kind_of
from penstock_common.events.selection import Selection, first_id
from penstock_common.objects import ObjectMissing, Objects

Events = AsyncIterator[StoredEvent]


async def archived_events(objects: Objects, selection: Selection, report: Report) -> Events:
    """What is wanted of the archive, by the rows' ids, oldest first, each once; the indexes say what need not be read.

    What is damaged is skipped, and `report` is told: who calls this ends with a failure if it was. Raises
    ObjectsUnavailable where the storage does not answer.
    """
    services = [s for s in await archived_services(objects) if not selection.services or s in selection.services]
    async for event in merged([(0, _of_service(objects, service, selection, report)) for service in services]):
        yield event


async def _of_service(objects: Objects, service: str, selection: Selection, report: Report) -> Events:
    since = selection.since.astimezone(UTC).date() if selection.since else None
    until = selection.until.astimezone(UTC).date() if selection.until else None
    async for day in archived_days(objects, service):
        if (since is None or day >= since) and (until is None or day <= until):
            found = await read_day(objects, service, day)
            found.report(report)
            async for event in day_events(objects, found, selection, report):
                yield event


async def day_events(objects: Objects, day: Day, selection: Selection, report: Report) -> Events:
    """What is wanted of a day, each event once. Raises ObjectsUnavailable."""
    parts = [
        (segment.first.int, _of_segment(objects, day, segment, selection, report))
        for segment in day.segments
        if segment.data in day.sizes
    ]
    last: UUID | None = None
    async for event in merged(parts):
        if event.id != last:
            yield event
        last = event.id


async def _of_segment(objects: Objects, day: Day, segment: Segment, selection: Selection, report: Report) -> Events:
    for place, member in enumerate(segment.members):
        if not may_hold(member, selection):
            continue
        lines = await read_member(objects, day, segment, place, report)
        for event in map(parse_line, lines):
            if selection.matches(event):
                yield event


async def read_member(objects: Objects, day: Day, segment: Segment, place: int, report: Report) -> Sequence[bytes]:
    """The lines of a member, counted from 0; none, and a report, where it is damaged. Raises ObjectsUnavailable."""
    member, key = segment.members[place], data_key(segment.service, segment.day, segment.data)
    try:
        if member.offset + member.length > day.sizes[segment.data]:
            raise ContractViolated(f"the object ends after {day.sizes[segment.data]} bytes")
        return unpack(member, await objects.get_range(key, member.offset, member.length))
    except ObjectMissing:
        reason = "the contents are missing"
    except ContractViolated as error:
        reason = str(error)
    report(Damage(segment.service, segment.day, key, reason, segment.number, place + 1, member.count))
    return ()


def may_hold(member: Member, selection: Selection) -> bool:
    """Whether a member may hold something that is wanted, as far as the index tells."""
    return (
        (selection.since is None or member.last >= first_id(selection.since))
        and (selection.until is None or member.first < first_id(selection.until))
        and (not selection.pattern or any(re.search(selection.pattern, subject) for subject in member.subjects))
        and (not selection.kinds or any(kind_of(subject) in selection.kinds for subject in member.subjects))
        and (selection.tenant is None or member.tenants is None or str(selection.tenant) in member.tenants)
    )


async def merged(parts: Sequence[tuple[int, Events]]) -> Events:
    """Sequences by id as one. Each comes with a number not above its first id, and is not begun before that."""
    heap: list[tuple[int, int, StoredEvent | None]] = [(least, place, None) for place, (least, _) in enumerate(parts)]
    heapq.heapify(heap)
    while heap:
        _, place, event = heap[0]
        if event is not None:
            yield event
        following = await anext(parts[place][1], None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.id.int, place, following))
