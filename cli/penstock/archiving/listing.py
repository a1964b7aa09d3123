"""What is archived, a day of a service a row."""

import json

from penstock.archiving.place import Days, chosen
from penstock.progress import progress
from penstock.tables import console, table
from penstock_common.archive.damage import Damage
from penstock_common.archive.day import Day, read_day
from penstock_common.objects import Objects


async def print_days(objects: Objects, days: Days, *, as_json: bool) -> int:
    """Print the days by their indexes; returns how many parts of them can't be read."""
    wanted = await chosen(objects, days)
    found: list[Day] = []
    with progress("reading indexes", len(wanted)) as advance:
        for service, day in wanted:
            found.append(await read_day(objects, service, day))
            advance()
    damaged = [damage for day in found for damage in day.damaged]
    if as_json:
        print(json.dumps({"days": [as_data(day) for day in found], "damaged": [each.as_json() for each in damaged]}))
    else:
        _show(found)
        show_damage(damaged)
    return len(damaged)


def as_data(day: Day) -> dict[str, object]:
    """A day as a program is told."""
    return {
        "service": day.service,
        "day": day.day.isoformat(),
        "state": state_of(day),
        "segments": len(day.segments),
        "events": day.count,
        "bytes": day.bytes,
        "first": min((segment.members[0].first_at.isoformat() for segment in day.segments), default=None),
        "last": max((segment.members[-1].last_at.isoformat() for segment in day.segments), default=None),
    }


def state_of(day: Day) -> str:
    """Whether a day still grows, is complete, or has lost something."""
    if day.damaged:
        return "damaged"
    return "closed" if day.closed else "open"


def _show(days: list[Day]) -> None:
    if not days:
        print("Nothing is archived yet. What services say is archived after some minutes.")
        return
    shown = table("service", "day", "state", "segments", "events", "bytes", "from", "to")
    for day in days:
        facts = as_data(day)
        cells = (str(facts[name] or "-")[:19] for name in ("first", "last"))
        numbers = (f"{number:,}" for number in (len(day.segments), day.count, day.bytes))
        shown.add_row(day.service, str(day.day), state_of(day), *numbers, *cells)
    console().print(shown)


def show_damage(damaged: list[Damage]) -> None:
    """Name each part that can't be read."""
    for damage in damaged:
        print(f"damaged: {damage}")
