"""What may be asked of the scheduler. It alone knows which timings can be; only their shape is looked at here."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from penstock_api.domain.errors import InvalidRequest
from penstock_common.contracts.schedules import Cadence, Preview, Timing
from penstock_common.errors import Fault, PenstockError

MOST = 1000
"""Schedules of one tenant."""


class ScheduleNotFound(PenstockError):
    """This project has no such schedule."""

    code = "api.schedule_not_found"
    fault = Fault.MISSING


class TooManySchedules(PenstockError):
    """This project has 1000 schedules already; remove some of them."""

    code = "api.too_many_schedules"
    fault = Fault.CONFLICT


class TimingRefused(PenstockError):
    """The schedule can never be due as it is written."""

    code = "api.timing_refused"
    fault = Fault.INVALID


@dataclass(frozen=True, slots=True)
class Wanted:
    """When a client wants a schedule to be due: one of the first three, bounded by the others."""

    cron: str | None
    every_seconds: int | None
    at: datetime | None
    zone: str
    start_at: datetime | None
    end_at: datetime | None


def timing_of(wanted: Wanted, now: datetime, known: Timing | None = None) -> Timing:
    """The timing that was meant; an interval without a start keeps the one it has, or begins now.

    Raises InvalidRequest where it is not one of the three.
    """
    kinds = ("cron", "every_seconds", "at")
    given = [name for name in kinds if getattr(wanted, name) is not None]
    if len(given) != 1:
        told = f"both of {' and '.join(f'`{name}`' for name in given)}" if given else "none of them"
        raise InvalidRequest(f"A schedule has one of `cron`, `every_seconds` and `at`; this has {told}.", "cron")
    bounds = {"zone": wanted.zone, "start_at": wanted.start_at, "end_at": wanted.end_at}
    if wanted.cron is not None:
        return Timing(Cadence.CRON, cron=wanted.cron, **bounds)  # type: ignore[arg-type]
    if wanted.every_seconds is not None:
        timing = Timing(Cadence.INTERVAL, every_seconds=wanted.every_seconds, **bounds)  # type: ignore[arg-type]
        return timing if timing.start_at else msgspec.structs.replace(timing, start_at=_start(timing, now, known))
    if wanted.start_at is not None:
        raise InvalidRequest("`start_at` makes no sense beside `at`; leave it out.", "start_at")
    return Timing(Cadence.ONCE, zone=wanted.zone, start_at=wanted.at, end_at=wanted.end_at)


def check_preview(timing: Timing, preview: Preview) -> None:
    """Raises TimingRefused with the scheduler's sentence, in the names that the client used."""
    if preview.problem:
        once = timing.cadence is Cadence.ONCE
        raise TimingRefused(preview.problem.replace("`start_at`", "`at`") if once else preview.problem)


def _start(timing: Timing, now: datetime, known: Timing | None) -> datetime:
    same = known is not None and (known.cadence, known.every_seconds) == (timing.cadence, timing.every_seconds)
    return known.start_at if same and known and known.start_at else now.replace(microsecond=0)
