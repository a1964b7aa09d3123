"""Schedules, as routes use them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from penstock_common.contracts.schedules import Misfire, Preview, ScheduleList, ScheduleShown, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleWish:
    """What a schedule is to be."""

    schedule_id: UUID
    tenant: UUID
    key_id: UUID
    name: str
    task: str
    timing: Timing
    input: Any
    """JSON that each run is given."""
    misfire: Misfire
    paused: bool
    after: datetime | None = None
    """When it was saved last: the new wish must count as later."""


class Schedules(Protocol):
    """Asks the scheduler, their owner. Every method raises BusUnavailable or NoAnswer, unless it says otherwise."""

    async def preview(self, timing: Timing, after: datetime | None, count: int) -> Preview:
        """The next moments of a timing, or why there can't be any."""

    async def find(self, tenant: UUID, schedule_id: UUID) -> ScheduleShown | None:
        """One schedule with its input; None where the tenant has no such schedule."""

    async def page(self, tenant: UUID, after: UUID | None, limit: int) -> ScheduleList:
        """Schedules by age, without their inputs, and how many there are in all."""

    async def save(self, wish: ScheduleWish) -> ScheduleShown | None:
        """The schedule as saved; None where the order is kept, but not yet carried out. Raises DatabaseUnavailable."""

    async def remove(self, tenant: UUID, schedule_id: UUID) -> bool:
        """Whether it is gone; False where the order is kept, but not yet carried out. Raises DatabaseUnavailable."""
