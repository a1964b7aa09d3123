"""What becomes of a schedule at a moment: which ticks fire, which are dropped, when it is looked at next."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

import msgspec

from penstock_common.contracts.schedules import Cadence, Misfire, Timing
from penstock_scheduler.domain.moments import INSTANT, first, moments, newest
from penstock_scheduler.domain.refusals import GRACE

AT_ONCE = 100
"""Ticks that a catch-up fires at most; older ones are dropped."""
COUNTED = 1000
"""Dropped ticks are counted up to this number."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The ticks to fire, in order."""

    fires: list[datetime]
    dropped: int
    """Ticks that were missed and never fire; `COUNTED` means that many or more."""
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """A schedule as it was before it is saved again."""

    timing: Timing
    is_paused: bool
    next_at: datetime | None


def plan(timing: Timing, misfire: Misfire, next_at: datetime, now: datetime) -> Plan:
    """Decide on everything due from `next_at` to `now`. A tick later than the grace was missed."""
    late = newest(timing, next_at, now, AT_ONCE)
    timely = [due for due in late if due >= now - GRACE]
    fires = {
        Misfire.SKIP: timely,
        Misfire.LATEST: late if len(timely) == len(late) else late[-1:],
        Misfire.ALL: late,
    }[misfire]
    passed = takewhile(lambda due: due.at <= now, moments(timing, next_at - INSTANT))
    count = sum(1 for _ in islice(passed, COUNTED + len(fires)))
    return Plan(fires, count - len(fires), first(timing, now))


def anchored(timing: Timing, saved_at: datetime) -> Timing:
    """The timing with a start where it needs one: an interval without any is counted from its saving."""
    if timing.cadence is Cadence.INTERVAL and timing.start_at is None:
        return msgspec.structs.replace(timing, start_at=saved_at)
    return timing


def next_after_saving(timing: Timing, is_paused: bool, saved_at: datetime, known: Known | None) -> datetime | None:
    """When a schedule is due first after it was saved. Time that it was paused is not caught up."""
    if is_paused:
        return None
    if known and not known.is_paused and known.timing == timing:
        return known.next_at
    return first(timing, saved_at - GRACE if timing.cadence is Cadence.ONCE else saved_at)
