"""Reads the archive back, byte for byte."""

import json

from penstock.archiving.listing import show_damage
from penstock.archiving.place import Days, chosen
from penstock.progress import Advance, progress
from penstock_common.archive.damage import Damage, Report
from penstock_common.archive.day import Day, read_day
from penstock_common.archive.layout import data_key
from penstock_common.archive.reading import read_member
from penstock_common.archive.segment import Segment
from penstock_common.objects import Objects


async def verify(objects: Objects, days: Days, *, as_json: bool) -> int:
    """Check every checksum, and that every member has its events; returns how many parts are damaged."""
    damaged: list[Damage] = []
    wanted = await chosen(objects, days)
    found = [await read_day(objects, service, day) for service, day in wanted]
    events = 0
    with progress("reading back", sum(len(segment.members) for day in found for segment in day.segments)) as advance:
        for day in found:
            day.report(damaged.append)
            for segment in day.segments:
                if segment.data in day.sizes:
                    events += await _verify_segment(objects, day, segment, damaged.append, advance)
    total = sum(segment.bytes for day in found for segment in day.segments)
    if as_json:
        facts = {"days": len(found), "events": events, "bytes": total, "damaged": [each.as_json() for each in damaged]}
        print(json.dumps(facts))
    else:
        show_damage(damaged)
        verdict = f"{len(damaged)} damaged parts" if damaged else "nothing is damaged"
        print(f"{len(found)} days, {events:,} events, {total:,} bytes read back: {verdict}")
    return len(damaged)


async def _verify_segment(objects: Objects, day: Day, segment: Segment, report: Report, advance: Advance) -> int:
    """How many events of it can be read."""
    events, damaged = 0, False
    for place in range(len(segment.members)):
        lines = await read_member(objects, day, segment, place, report)
        damaged |= not lines
        events += len(lines)
        advance()
    if not damaged and day.sizes[segment.data] != segment.bytes:
        key = data_key(segment.service, segment.day, segment.data)
        report(Damage(segment.service, segment.day, key, "more was added to the contents", segment.number, events=0))
    return events
