"""When a timing is due: instants in UTC, strictly increasing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from typing import NamedTuple

from cronsim import CronSim

from penstock_common.contracts.schedules import Cadence, Timing
from penstock_scheduler.domain.zones import exists, is_repeated, zone_of

SKIPPED = "skipped"
REPEATED = "repeated"
INSTANT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


class Due(NamedTuple):
    """A moment, and what the zone's clock did there."""

    at: datetime
    note: str = ""


def moments(timing: Timing, after: datetime) -> Iterator[Due]:
    """The moments later than `after`, earliest first; endless where nothing ends them. Raises ImpossibleTiming."""
    if timing.start_at is not None:
        after = max(after, timing.start_at - INSTANT) if timing.cadence is Cadence.CRON else after
    last = after
    for due in _SOURCES[timing.cadence](timing, after):
        if timing.end_at is not None and due.at > timing.end_at:
            return
        if due.at > last:  # of two local times inside one gap, and in the second of two equal hours, it is not
            last = due.at
            yield due


def first(timing: Timing, after: datetime) -> datetime | None:
    """The first moment later than `after`."""
    due = next(moments(timing, after), None)
    return due.at if due else None


def newest(timing: Timing, since: datetime, until: datetime, count: int) -> list[datetime]:
    """The last `count` moments from `since` to `until`, both included; what it costs does not grow with the span."""
    span = count * MINUTE
    while True:
        begin = max(since - INSTANT, until - span)
        found = [due.at for due in takewhile(lambda due: due.at <= until, moments(timing, begin))]
        if len(found) >= count or begin < since:
            return found[-count:]
        span *= 8


def _cron(timing: Timing, after: datetime) -> Iterator[Due]:
    zone = zone_of(timing.zone)
    minute, hour = timing.cron.split()[:2]
    # Debian's rule: jobs of fixed times follow the clock on the wall, the others real time.
    walk = _running if minute.startswith("*") or hour.startswith("*") else _fixed
    return walk(timing.cron, zone, after)


def _fixed(cron: str, zone: tzinfo, after: datetime) -> Iterator[Due]:
    """A local time that does not exist becomes the end of the gap; of one that comes twice, the first counts."""
    for local in CronSim(cron, after.astimezone(zone).replace(tzinfo=None)):
        yield _settled(local, zone)


def _settled(local: datetime, zone: tzinfo) -> Due:
    there = local.replace(tzinfo=zone)
    if exists(there):
        return Due(there.astimezone(UTC), REPEATED if is_repeated(there) else "")
    while not exists(there):
        there += MINUTE
    return Due(there.astimezone(UTC), SKIPPED)


def _running(cron: str, zone: tzinfo, after: datetime) -> Iterator[Due]:
    for there in CronSim(cron, after.astimezone(zone)):
        yield Due(there.astimezone(UTC), REPEATED if is_repeated(there) else "")


def _interval(timing: Timing, after: datetime) -> Iterator[Due]:
    assert timing.start_at is not None
    zone, step, anchor = zone_of(timing.zone), timedelta(seconds=timing.every_seconds), timing.start_at.astimezone(UTC)
    number = max(0, (after - anchor) // step + 1)
    while True:
        at = anchor + number * step
        yield Due(at, REPEATED if is_repeated(at.astimezone(zone)) else "")
        number += 1


def _once(timing: Timing, after: datetime) -> Iterator[Due]:
    assert timing.start_at is not None
    if timing.start_at > after:
        yield Due(timing.start_at.astimezone(UTC))


_SOURCES: dict[Cadence, Callable[[Timing, datetime], Iterator[Due]]] = {
    Cadence.CRON: _cron,
    Cadence.INTERVAL: _interval,
    Cadence.ONCE: _once,
}
