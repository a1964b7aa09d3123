"""One service's day as it lies in the archive."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from penstock_common.archive.damage import Damage, Report
from penstock_common.archive.layout import CLOSED, DATA, INDEX, closed_key, data_key, day_folder, index_key
from penstock_common.archive.segment import Closed, Segment, unsealed
from penstock_common.errors import ContractViolated
from penstock_common.objects import ObjectMissing, Objects

AT_ONCE = 16
"""Indexes read side by side."""


@dataclass(frozen=True)
class Day:
    """What is readable of a day, and what is wrong with the rest."""

    service: str
    day: date
    segments: tuple[Segment, ...]
    """By number; those that others stand in for are left out."""
    sizes: Mapping[str, int]
    """Bytes by name of each object that is there."""
    highest: int
    """The highest number in use, or of which a trace is left; 0 where there is none."""
    damaged: tuple[Damage, ...]
    closed: Closed | None

    @property
    def count(self) -> int:
        """Events."""
        return sum(segment.count for segment in self.segments)

    @property
    def bytes(self) -> int:
        """Compressed."""
        return sum(segment.bytes for segment in self.segments)

    def report(self, report: Report) -> None:
        """Say what is wrong."""
        for damage in self.damaged:
            report(damage)


async def read_day(objects: Objects, service: str, day: date) -> Day:
    """List a day's objects and read its descriptions, not its contents. Raises ObjectsUnavailable."""
    sizes = await sizes_of(objects, service, day)
    damaged: list[Damage] = []
    closed = await _closed(objects, service, day, damaged) if CLOSED in sizes else None
    named = {part.number: part.data for part in closed.segments} if closed else {}
    known = closed.highest if closed else 0
    numbers = numbers_in(sizes)
    highest = max((*numbers, known))
    wanted = [number for number in range(1, highest + 1) if number in named or number > known]
    read: list[Segment] = []
    for start in range(0, len(wanted), AT_ONCE):
        turn = wanted[start : start + AT_ONCE]
        found = await asyncio.gather(*(_segment(objects, service, day, number, damaged) for number in turn))
        read += filter(None, found)
    for segment in read:
        if named.get(segment.number, segment.data) != segment.data:
            damaged.append(_damage(segment, "these are not the contents of the closed day"))
        elif segment.data not in sizes:
            damaged.append(_damage(segment, "the contents are missing"))
    damaged.sort(key=lambda damage: damage.segment)
    return Day(service, day, tuple(read), sizes, highest, tuple(damaged), closed)


async def newest_segment(objects: Objects, service: str, day: date) -> tuple[Segment | None, int]:
    """The readable segment of a day with its youngest event, late ones aside, and the highest number in use."""
    numbers = numbers_in(await sizes_of(objects, service, day))
    for number in reversed(numbers):
        segment = await _segment(objects, service, day, number, [])
        if segment and not segment.late:
            return segment, numbers[-1]
    return None, max(numbers, default=0)


async def sizes_of(objects: Objects, service: str, day: date) -> dict[str, int]:
    """Bytes by name of what lies in a day's folder."""
    return {found.key.rpartition("/")[2]: found.size async for found in objects.list(day_folder(service, day))}


def numbers_in(names: Iterable[str]) -> list[int]:
    """Numbers of the segments that have an index, ascending."""
    return sorted(int(found[1]) for name in names if (found := INDEX.fullmatch(name)))


async def _segment(objects: Objects, service: str, day: date, number: int, damaged: list[Damage]) -> Segment | None:
    key = index_key(service, day, number)
    try:
        segment = unsealed(Segment, await objects.get(key))
        if (segment.service, segment.day, segment.number) != (service, day, number):
            raise ContractViolated("it is the index of another segment")
    except ObjectMissing:
        damaged.append(Damage(service, day, key, "the index is missing", number))
    except ContractViolated as error:
        damaged.append(Damage(service, day, key, f"the index is damaged: {error}", number))
    else:
        return segment
    return None


async def _closed(objects: Objects, service: str, day: date, damaged: list[Damage]) -> Closed | None:
    key = closed_key(service, day)
    try:
        return unsealed(Closed, await objects.get(key))
    except ObjectMissing:
        return None
    except ContractViolated as error:
        damaged.append(Damage(service, day, key, f"the day's description is damaged: {error}", 0, events=0))
        return None


def _damage(segment: Segment, reason: str) -> Damage:
    key = data_key(segment.service, segment.day, segment.data)
    return Damage(segment.service, segment.day, key, reason, segment.number, None, segment.count)


def leftovers(day: Day) -> list[str]:
    """Names of contents that no index speaks of: of a process that died, or was overtaken, before it made one."""
    used = {segment.data for segment in day.segments} | {
        part.data for part in (day.closed.segments if day.closed else ())
    }
    return [name for name in day.sizes if DATA.fullmatch(name) and name not in used]
