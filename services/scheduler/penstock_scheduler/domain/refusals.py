"""Timings that can't be, each with the sentence that says why."""

from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

from penstock_common.contracts.schedules import Cadence, Timing
from penstock_scheduler.domain.errors import ImpossibleTiming
from penstock_scheduler.domain.moments import first
from penstock_scheduler.domain.zones import zone_of

FIELDS = "minute hour day-of-month month day-of-week"
YEARS = range(1970, 9000)
LONGEST_CRON = 200  # characters
SHORTEST_SECONDS, LONGEST_SECONDS = 5, 366 * 86_400
FARTHEST = timedelta(days=366)
GRACE = timedelta(seconds=60)  # a one-shot may lie so far in the past, as clocks differ


def check_form(timing: Timing) -> None:
    """Raises ImpossibleTiming for what could be due at no time at all."""
    zone_of(timing.zone)
    for field in ("start_at", "end_at"):
        moment = getattr(timing, field)
        if moment is not None and moment.tzinfo is None:
            raise ImpossibleTiming(f"`{field}` needs an offset; write it like 2030-01-31T12:00:00Z.", field)
        if moment is not None and moment.year not in YEARS:
            raise ImpossibleTiming(f"`{field}` must lie from {YEARS[0]} to {YEARS[-1]}.", field)
    {Cadence.CRON: _check_cron, Cadence.INTERVAL: _check_interval, Cadence.ONCE: _check_once}[timing.cadence](timing)


def check(timing: Timing, now: datetime) -> None:
    """Raises ImpossibleTiming also for what is over, or lies too far away, seen from `now`."""
    check_form(timing)
    if timing.start_at is not None and timing.start_at > now + FARTHEST:
        raise ImpossibleTiming("`start_at` is more than a year ahead; nobody will remember it then.", "start_at")
    if timing.cadence is Cadence.ONCE and timing.start_at is not None and timing.start_at < now - GRACE:
        past = f"{timing.start_at.isoformat()} lies in the past (it is {now.isoformat(timespec='seconds')})"
        raise ImpossibleTiming(f"`start_at`: {past}; give a moment that is still to come.", "start_at")
    if timing.end_at is not None and timing.end_at <= now:
        raise ImpossibleTiming("`end_at` lies in the past; leave it out, or give a later one.", "end_at")
    if first(timing, now - GRACE) is None:
        if timing.end_at is not None:
            raise ImpossibleTiming("`end_at` comes before the first moment that is due.", "end_at")
        raise ImpossibleTiming(f"`cron`: {timing.cron!r} is due at no time in the next 50 years.", "cron")


def _check_cron(timing: Timing) -> None:
    cron = timing.cron
    if timing.every_seconds:
        raise ImpossibleTiming("`every_seconds` goes with an interval, not with cron; leave one out.", "every_seconds")
    if len(cron) > LONGEST_CRON or not cron.isascii():
        raise ImpossibleTiming(f"`cron` is at most {LONGEST_CRON} characters, all of them ASCII.", "cron")
    count = len(cron.split())
    if cron.lstrip().startswith("@"):
        raise ImpossibleTiming(f"`cron`: names such as {cron.strip()!r} are not taken; write {FIELDS}.", "cron")
    if count == 6:
        advice = "its finest step is a minute; for less, use an interval"
        raise ImpossibleTiming(f"`cron` has six fields, but there are none for seconds: {advice}.", "cron")
    if count != 5:
        raise ImpossibleTiming(f"`cron` has {count} fields instead of five: {FIELDS}.", "cron")
    try:
        next(CronSim(cron, datetime(2000, 1, 1)), None)  # noqa: DTZ001 (any date: the form alone is looked at)
    except CronSimError as error:
        raise ImpossibleTiming(f"`cron`: {cron!r} can't be read: {_reason(cron, error)}.", "cron") from error


def _reason(cron: str, error: CronSimError) -> str:
    """CronSim says `Bad <field>`, for days of no month as for what is no number."""
    field = str(error).removeprefix("Bad ")
    index = FIELDS.split().index(field) if field in FIELDS.split() else None
    given = f"{cron.split()[index]!r} " if index is not None else ""
    if field == "day-of-month" and cron.split()[2].replace(",", "").replace("-", "").isdigit():
        return f"{given}is a day that no month of {cron.split()[3]!r} has"
    return f"{given}is no {field}"


def _check_interval(timing: Timing) -> None:
    if timing.cron:
        raise ImpossibleTiming("`cron` and an interval exclude one another; leave one out.", "cron")
    if not SHORTEST_SECONDS <= timing.every_seconds <= LONGEST_SECONDS:
        span = f"from {SHORTEST_SECONDS} to {LONGEST_SECONDS} (a year)"
        raise ImpossibleTiming(f"`every_seconds` is {timing.every_seconds}; it must be {span}.", "every_seconds")


def _check_once(timing: Timing) -> None:
    if timing.cron or timing.every_seconds:
        raise ImpossibleTiming("A one-shot has a moment, and neither cron nor an interval.", "start_at")
    if timing.start_at is None:
        raise ImpossibleTiming("`start_at` is missing: the moment of the one-shot.", "start_at")
    if timing.end_at is not None:
        raise ImpossibleTiming("`end_at` makes no sense for a one-shot; leave it out.", "end_at")
