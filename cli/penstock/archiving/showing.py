"""One segment, as its index describes it."""

import re
from datetime import date

import msgspec

from penstock.archiving.place import ArchiveChoiceInvalid
from penstock.tables import console, table
from penstock_common.archive.day import read_day
from penstock_common.archive.layout import data_key
from penstock_common.archive.segment import Segment
from penstock_common.objects import Objects

NAME = re.compile(r"(?:events/)?([a-z][a-z_]{0,30})/(\d{4})/(\d{2})/(\d{2})/(\d{1,6})(?:[.-].*)?")


async def print_segment(objects: Objects, name: str, *, as_json: bool) -> None:
    """Print the members of the segment that is named as `billing/2026/11/30/1`. Raises ArchiveChoiceInvalid."""
    segment = await _find(objects, name)
    if as_json:
        print(msgspec.json.encode(segment).decode())
        return
    print(f"{data_key(segment.service, segment.day, segment.data)}")
    print(f"{segment.count:,} events, {segment.bytes:,} bytes, SHA-256 {segment.sha256}")
    shown = table("member", "offset", "bytes", "events", "from", "to", "topics")
    for number, member in enumerate(segment.members, 1):
        times = (f"{moment:%H:%M:%S.%f}"[:-3] for moment in (member.first_at, member.last_at))
        topics = ", ".join(f"{subject} {count}" for subject, count in member.subjects.items())
        shown.add_row(str(number), f"{member.offset:,}", f"{member.length:,}", f"{member.count:,}", *times, topics)
    console().print(shown)


async def _find(objects: Objects, name: str) -> Segment:
    named = NAME.fullmatch(name)
    try:
        parts = named.groups() if named else ()
        service, day, number = parts[0], date(int(parts[1]), int(parts[2]), int(parts[3])), int(parts[4])
    except (IndexError, ValueError) as error:
        wanted = "service, day and number, as in billing/2026/11/30/1"
        raise ArchiveChoiceInvalid(f"{name[:80]!r} names no segment: {wanted}.") from error
    found = await read_day(objects, service, day)
    for segment in found.segments:
        if segment.number == number:
            return segment
    there = ", ".join(str(segment.number) for segment in found.segments[:20]) or "none"
    reasons = "".join(f" {damage}." for damage in found.damaged if damage.segment == number)
    raise ArchiveChoiceInvalid(f"The archive has no segment {number} of {service}, {day}; there is {there}.{reasons}")
