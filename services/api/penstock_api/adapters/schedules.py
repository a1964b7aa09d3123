"""Schedules: ordered through the outbox, read by query over the bus."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from penstock_api.adapters.asking import ask_owner
from penstock_api.ports.schedules import ScheduleWish
from penstock_common.clock import Clock
from penstock_common.contracts.schedules import (
    Preview,
    PreviewTiming,
    ReadSchedules,
    RemoveSchedule,
    SaveSchedule,
    ScheduleList,
    ScheduleShown,
    Timing,
)
from penstock_common.db.transaction import Database
from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.messaging.ports import Bus
from penstock_common.sealing import Sealer

SECONDS = 2.0
PATIENCE = 2.0  # seconds to wait until an order is carried out
POLL = 0.05  # seconds
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ScheduleOrders:
    """Asks any process of the scheduler."""

    database: Database
    bus: Bus
    sealer: Sealer
    clock: Clock

    async def preview(self, timing: Timing, after: datetime | None, count: int) -> Preview:
        """The next moments of a timing, or why there can't be any."""
        question = PreviewTiming(timing=timing, after=after, count=count)
        return await ask_owner(self.bus, question, Preview, SECONDS)

    async def find(self, tenant: UUID, schedule_id: UUID) -> ScheduleShown | None:
        """One schedule with its input; None where the tenant has no such schedule."""
        question = ReadSchedules(tenant=tenant, schedule_id=schedule_id)
        found = (await ask_owner(self.bus, question, ScheduleList, SECONDS)).schedules
        return found[0] if found else None

    async def page(self, tenant: UUID, after: UUID | None, limit: int) -> ScheduleList:
        """Schedules by age, without their inputs, and how many there are in all."""
        question = ReadSchedules(tenant=tenant, after=after, limit=limit)
        return await ask_owner(self.bus, question, ScheduleList, SECONDS)

    async def save(self, wish: ScheduleWish) -> ScheduleShown | None:
        """The schedule as saved; None where the order is kept, but not yet carried out."""
        now = self.clock.now()
        saved_at = max(now, wish.after + INSTANT) if wish.after else now
        command = SaveSchedule(
            schedule_id=wish.schedule_id,
            tenant=wish.tenant,
            key_id=wish.key_id,
            name=wish.name,
            timing=wish.timing,
            task=wish.task,
            sealed=self.sealer.seal(wish.tenant, str(wish.schedule_id), msgspec.json.encode(wish.input)),
            misfire=wish.misfire,
            paused=wish.paused,
            saved_at=saved_at,
        )
        async with self.database.transaction() as tx:
            tx.publish(command)
        _, shown = await self._await(
            wish.tenant, wish.schedule_id, lambda shown: shown is not None and shown.saved_at >= saved_at
        )
        return shown

    async def remove(self, tenant: UUID, schedule_id: UUID) -> bool:
        """Whether it is gone; False where the order is kept, but not yet carried out."""
        async with self.database.transaction() as tx:
            tx.publish(RemoveSchedule(schedule_id=schedule_id, tenant=tenant, removed_at=self.clock.now()))
        is_done, _ = await self._await(tenant, schedule_id, lambda shown: shown is None)
        return is_done

    async def _await(
        self, tenant: UUID, schedule_id: UUID, is_done: Callable[[ScheduleShown | None], bool]
    ) -> tuple[bool, ScheduleShown | None]:
        """Whether the scheduler shows in time what was ordered, and what it shows then."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    shown = await self.find(tenant, schedule_id)
                    if is_done(shown):
                        return True, shown
                    await asyncio.sleep(POLL)
        except (TimeoutError, BusUnavailable, NoAnswer):
            return False, None
