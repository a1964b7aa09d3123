"""The next moments of a timing, for a person to look at."""

from datetime import datetime, timedelta
from itertools import islice

from penstock_common.contracts.schedules import Moment, Preview, PreviewTiming, Timing
from penstock_scheduler.domain.errors import ImpossibleTiming
from penstock_scheduler.domain.moments import Due, moments
from penstock_scheduler.domain.planning import anchored
from penstock_scheduler.domain.refusals import check
from penstock_scheduler.domain.zones import zone_of

MOST = 100
"""Moments in one preview."""
FARTHEST = timedelta(days=3660)


def preview(question: PreviewTiming, now: datetime) -> Preview:
    """The moments, or the sentence that says why there can't be any."""
    timing = anchored(question.timing, now)
    try:
        check(timing, now)
        after = _start(question.after, now)
    except ImpossibleTiming as refusal:
        return Preview(problem=refusal.message)
    found = islice(moments(timing, after), max(1, min(question.count, MOST)))
    return Preview(moments=[_shown(due, timing) for due in found])


def _start(after: datetime | None, now: datetime) -> datetime:
    if after is None:
        return now
    if after.tzinfo is None:
        raise ImpossibleTiming("`after` needs an offset; write it like 2030-01-31T12:00:00Z.", "after")
    if abs(after - now) > FARTHEST:
        raise ImpossibleTiming("`after` is more than ten years away.", "after")
    return after


def _shown(due: Due, timing: Timing) -> Moment:
    return Moment(due.at, due.at.astimezone(zone_of(timing.zone)).isoformat(), due.note)
