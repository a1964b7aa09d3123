"""Commands, events and queries about schedules and their ticks."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract


class Cadence(StrEnum):
    """How a schedule finds its moments."""

    CRON = "cron"
    INTERVAL = "interval"
    ONCE = "once"


class Misfire(StrEnum):
    """What becomes of ticks that were due while no scheduler ran."""

    SKIP = "skip"
    """None of them fires."""
    LATEST = "latest"
    """The last of them fires, once."""
    ALL = "all"
    """Each fires, in order, up to a bound."""


class Timing(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a schedule is due."""

    cadence: Cadence
    cron: str = ""
    """Five fields, in the schedule's zone."""
    zone: str = "UTC"
    """A name of the IANA time zone database."""
    every_seconds: int = 0
    """Of an interval, counted from `start_at`."""
    start_at: datetime | None = None
    """The moment of a one-shot; of others, nothing is due before it."""
    end_at: datetime | None = None
    """Nothing is due after it."""


class SaveSchedule(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Make a schedule, or replace the one of this id."""

    schedule_id: UUID
    tenant: UUID
    key_id: UUID
    name: str
    timing: Timing
    task: str
    """The declared task that each tick runs."""
    sealed: bytes = b""
    """JSON of the run's input, sealed by the tenant's key under the schedule's id."""
    misfire: Misfire = Misfire.LATEST
    paused: bool = False
    saved_at: datetime


class RemoveSchedule(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Forget a schedule; its runs stay."""

    schedule_id: UUID
    tenant: UUID
    removed_at: datetime


class ScheduleChanged(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule was made, changed, paused, resumed, or removed."""

    schedule_id: UUID
    tenant: UUID
    version: int
    removed: bool = False


class TickFired(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A moment of a schedule came, and its run was ordered in the same transaction."""

    schedule_id: UUID
    tenant: UUID
    due_at: datetime
    run_id: UUID


class Moment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A due time. `note` says what the zone's clock did there: `skipped`, `repeated`, or nothing special."""

    due_at: datetime
    local: str
    """ISO 8601 with the zone's offset."""
    note: str = ""


class PreviewTiming(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the next moments of a timing, stored nowhere."""

    timing: Timing
    after: datetime | None = None
    """Now, where it is not given."""
    count: int = 5


class Preview(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The moments; or why there can't be any, in a sentence."""

    moments: list[Moment] = []
    problem: str = ""


class ScheduleShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule as its owner sees it. `input` is JSON."""

    schedule_id: UUID
    name: str
    timing: Timing
    task: str
    misfire: Misfire
    version: int
    saved_at: datetime
    paused: bool = False
    input: Any = None
    next_at: datetime | None = None
    last_at: datetime | None = None
    last_run_id: UUID | None = None


class ReadSchedules(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the schedules of a tenant by age, or the one of an id."""

    tenant: UUID
    schedule_id: UUID | None = None
    after: UUID | None = None
    limit: int = 100


class ScheduleList(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Schedules; only where one was asked for by its id, with its input."""

    schedules: list[ScheduleShown] = []
    total: int = 0
    """How many the tenant has in all."""
