"""Fires what is due: by timer, and by nudge after a change. Any number of processes may do so side by side."""

import asyncio
import contextlib
from datetime import timedelta

import structlog

from penstock_common.clock import Clock
from penstock_common.errors import PenstockError
from penstock_scheduler import metrics
from penstock_scheduler.domain.planning import COUNTED, Plan, plan
from penstock_scheduler.ports import Claim, DueSchedule, Schedules

log = structlog.get_logger()

CLAIMED = 32
"""Schedules that one transaction holds at most."""
BUDGET = 4_000_000
"""Bytes of orders after which a transaction is ended, and another one begun."""
LONGEST_SLEEP = 2.0
"""Seconds after which a change that another process took is noticed, should that process have died."""
SHORTEST_SLEEP = 0.01
"""Seconds between two looks at a schedule that another process holds."""
PAUSE = 1.0
PUT_OFF = timedelta(minutes=1)
"""How long a schedule that can't be carried out rests, so that it holds up no other."""


class Ticker:
    """One per process."""

    def __init__(self, schedules: Schedules, clock: Clock, longest_sleep: float = LONGEST_SLEEP) -> None:
        self.schedules, self.clock, self.longest_sleep = schedules, clock, longest_sleep
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the loop turns."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Fire no more; a transaction under way is rolled back, and its ticks are another process's."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def nudge(self) -> None:
        """Look again: a schedule was changed."""
        self._changed.set()

    async def turn(self) -> bool:
        """Fire what is due, as far as one transaction goes; False where nothing was."""
        written = 0
        async with self.schedules.claim(self.clock.now(), CLAIMED) as claim:
            for schedule in claim.due:
                written += await self._carry_out(claim, schedule)
                if written > BUDGET:
                    break
        return bool(claim.due)

    async def _repeat(self) -> None:
        while True:
            self._changed.clear()
            try:
                if not await self.turn():
                    await self._sleep()
            except PenstockError as error:
                log.warning("ticker.waiting", reason=error.message)
                await asyncio.sleep(PAUSE)
            except Exception:
                log.exception("ticker.failed")
                await asyncio.sleep(PAUSE)

    async def _sleep(self) -> None:
        """Until the next moment, a nudge, or for the longest sleep."""
        earliest = await self.schedules.earliest()
        left = (earliest - self.clock.now()).total_seconds() if earliest else self.longest_sleep
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), min(max(left, SHORTEST_SLEEP), self.longest_sleep))

    async def _carry_out(self, claim: Claim, schedule: DueSchedule) -> int:
        now = self.clock.now()
        try:
            planned = plan(schedule.timing, schedule.misfire, schedule.next_at, now)
            written = await claim.carry_out(schedule, planned)
        except Exception as error:
            if not is_its_own_fault(error):
                raise
            metrics.TICKS.labels("put_off").inc()
            log.warning("schedule.put_off", schedule_id=str(schedule.id), reason=str(error))
            await claim.put_off(schedule, now + PUT_OFF)
            return 0
        self._tell(schedule, planned)
        return written

    def _tell(self, schedule: DueSchedule, planned: Plan) -> None:
        metrics.TICKS.labels("fired").inc(len(planned.fires))
        if planned.fires:
            metrics.LATENESS.observe((self.clock.now() - planned.fires[-1]).total_seconds())
        if planned.dropped:
            metrics.TICKS.labels("dropped").inc(planned.dropped)
            log.warning(
                "ticks.dropped",
                schedule_id=str(schedule.id),
                misfire=schedule.misfire.value,
                dropped=planned.dropped,
                or_more=planned.dropped >= COUNTED,
                fired=len(planned.fires),
            )


def is_its_own_fault(error: Exception) -> bool:
    """Whether the schedule, not the database, is why it can't be carried out."""
    return not error.fault.passes if isinstance(error, PenstockError) else isinstance(error, ValueError | LookupError)
