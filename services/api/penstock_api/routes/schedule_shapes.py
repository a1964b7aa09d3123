"""What the schedule routes take and give."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from penstock_api.domain.schedule_orders import Wanted
from penstock_common.contracts.schedules import Cadence, Misfire, Moment, ScheduleShown

NAME = r"^[^\x00-\x1f\x7f]*$"
AT = "2030-01-31T12:00:00Z"
WEEKDAYS: dict[str, str] = {"cron": "0 9 * * MON-FRI", "zone": "Europe/Berlin"}
SHOWN_EXAMPLE: dict[str, Any] = {
    "id": "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e",
    "name": "every morning",
    "task": "probe",
    **WEEKDAYS,
    "misfire": "latest",
    "paused": False,
    "input": {"url": "https://example.com/"},
    "version": 1,
    "saved_at": AT,
    "next_at": AT,
}


class TimingFields(BaseModel):
    """When: one of `cron`, `every_seconds` and `at`."""

    model_config = ConfigDict(extra="forbid")

    cron: str | None = Field(None, max_length=1000, description="Five fields, in the zone `zone`.")
    every_seconds: int | None = Field(
        None, ge=1, le=1_000_000_000, description="From 5 seconds to a year, counted from `start_at`."
    )
    at: AwareDatetime | None = Field(None, description="Once, at this moment.")
    zone: str = Field("UTC", max_length=100, description="A name of the IANA time zone database.")
    start_at: AwareDatetime | None = Field(None, description="Nothing is due before it.")
    end_at: AwareDatetime | None = Field(None, description="Nothing is due after it.")

    def wanted(self) -> Wanted:
        """The timing's part of the body."""
        return Wanted(self.cron, self.every_seconds, self.at, self.zone, self.start_at, self.end_at)


class ScheduleWanted(TimingFields):
    """A schedule to be made, or to replace one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "every morning",
                "task": "probe",
                **WEEKDAYS,
                "input": {"url": "https://example.com/"},
            }
        },
    )

    name: str = Field(min_length=1, max_length=100, pattern=NAME, description="For people to tell schedules apart.")
    task: str = Field(min_length=1, max_length=100, pattern=NAME, description="The declared task that each tick runs.")
    input: Any = Field(None, description="JSON that each run is given.")
    misfire: Misfire = Field(
        Misfire.LATEST,
        description="What becomes of ticks missed while no scheduler ran: none fires, the last does, or all do.",
    )
    paused: bool = False


class PreviewWanted(TimingFields):
    """A timing to look at."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {**WEEKDAYS, "count": 3}})

    after: AwareDatetime | None = Field(None, description="Now, where it is not given.")
    count: int = Field(5, ge=1, le=100)


class ScheduleView(BaseModel):
    """A schedule."""

    model_config = ConfigDict(json_schema_extra={"example": SHOWN_EXAMPLE})

    id: UUID
    name: str
    task: str
    cron: str | None = None
    every_seconds: int | None = None
    at: datetime | None = None
    zone: str
    start_at: datetime | None = None
    end_at: datetime | None = None
    misfire: Misfire
    paused: bool
    input: Any = Field(None, description="Left out of lists.")
    version: int
    saved_at: datetime
    next_at: datetime | None = Field(None, description="Null where nothing is due any more, or it is paused.")
    last_at: datetime | None = None
    last_run_id: UUID | None = None


class ScheduleListView(BaseModel):
    """Schedules of a project, the oldest first."""

    schedules: list[ScheduleView]
    total: int = Field(description="In all pages.", examples=[1])


class MomentView(BaseModel):
    """A moment at which a schedule is due."""

    due_at: datetime
    local: str = Field(examples=["2026-03-29T03:00:00+02:00"])
    note: str = Field(
        description="`skipped`: the local time did not exist, this is the end of the gap; `repeated`: it came twice.",
        examples=["skipped"],
    )


class PreviewView(BaseModel):
    """The next moments."""

    moments: list[MomentView]


class ScheduleOrdered(BaseModel):
    """The order is kept and will be carried out."""

    id: UUID


def view_of(shown: ScheduleShown) -> ScheduleView:
    """A schedule in the names of its routes."""
    timing, once = shown.timing, shown.timing.cadence is Cadence.ONCE
    return ScheduleView(
        id=shown.schedule_id,
        name=shown.name,
        task=shown.task,
        cron=timing.cron or None,
        every_seconds=timing.every_seconds or None,
        at=timing.start_at if once else None,
        zone=timing.zone,
        start_at=None if once else timing.start_at,
        end_at=timing.end_at,
        misfire=shown.misfire,
        paused=shown.paused,
        input=shown.input,
        version=shown.version,
        saved_at=shown.saved_at,
        next_at=shown.next_at,
        last_at=shown.last_at,
        last_run_id=shown.last_run_id,
    )


def preview_of(moments: list[Moment]) -> PreviewView:
    """Moments in the names of their route."""
    return PreviewView(moments=[MomentView(due_at=m.due_at, local=m.local, note=m.note) for m in moments])
