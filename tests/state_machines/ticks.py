"""Ticks: whatever dies, races or jumps, each moment of a schedule fires once, with one order and one fact."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from penstock_common.contracts.schedules import Misfire, RemoveSchedule
from penstock_common.ids import uuid7
from penstock_scheduler.domain.planning import plan
from tests.state_machines.machine import Machine
from tests.state_machines.model_bus import Died
from tests.support.scheduling import NOON, TENANT, MovedClock, Scheduler, every

SECONDS = (20, 30, 45, 60)
MOST = 1500.0  # seconds that the clock jumps: no more ticks than one catch-up fires


@dataclass
class Plan:
    """A schedule as the model knows it."""

    every: int
    saved_at: datetime
    removed: bool = False
    looked_until: datetime = NOON
    """Until when ticks were surely fired."""

    def moments(self, until: datetime) -> list[datetime]:
        """Those after its saving, up to a moment."""
        count = int((until - self.saved_at).total_seconds() // self.every)
        return [self.saved_at + timedelta(seconds=self.every * n) for n in range(1, count + 1)]


class TickMachine(Machine):
    """Two schedulers on clocks of their own, which need not agree; `url` is their database."""

    url: ClassVar[str]
    keyring: ClassVar[Path]

    async def open(self) -> None:
        """No schedule; every clock stands at noon."""
        self.processes = [Scheduler(self.url, self.keyring, MovedClock(NOON)) for _ in range(2)]
        self.plans: dict[UUID, Plan] = {}
        for table in ("schedules", "ticks", "removals", "outbox", "inbox"):
            await self.processes[0].execute(f"delete from scheduler.{table}")

    async def close(self) -> None:
        """No connection is left."""
        for process in self.processes:
            await process.database.close()

    @rule(process=st.integers(0, 1), seconds=st.sampled_from(SECONDS))
    def save(self, process: int, seconds: int) -> None:
        """A schedule that is caught up whatever happens, its command delivered twice."""
        self.run(self._save(process, seconds))

    async def _save(self, process: int, seconds: int) -> None:
        scheduler, id_ = self.processes[process], uuid7()
        start = scheduler.clock.now()
        timing = every(seconds, start_at=start + timedelta(seconds=seconds))
        command = scheduler.saving(timing, schedule_id=id_, misfire=Misfire.ALL)
        await scheduler.receive(command, times=2)
        self.plans[id_] = Plan(seconds, start, looked_until=start)

    @precondition(lambda self: self.plans)
    @rule(process=st.integers(0, 1), which=st.integers(0, 10**6))
    def remove(self, process: int, which: int) -> None:
        """For good."""
        self.run(self._remove(process, list(self.plans)[which % len(self.plans)]))

    async def _remove(self, process: int, id_: UUID) -> None:
        scheduler = self.processes[process]
        command = RemoveSchedule(schedule_id=id_, tenant=TENANT, removed_at=scheduler.clock.now())
        await scheduler.receive(command, times=2)
        self.plans[id_].removed = True

    @rule(process=st.integers(0, 1), seconds=st.floats(-90, MOST / 4))
    def jump(self, process: int, seconds: float) -> None:
        """One clock jumps, back or ahead."""
        self._jump(process, seconds)

    def _jump(self, process: int, seconds: float) -> None:
        if not self._would_lag(process, seconds):
            self.processes[process].clock.move(seconds=seconds)

    def _would_lag(self, process: int, seconds: float) -> bool:
        newest = self.processes[process].clock.now() + timedelta(seconds=seconds)
        oldest = min((p.looked_until for p in self.plans.values() if not p.removed), default=newest)
        return (newest - oldest).total_seconds() > MOST

    @rule(process=st.integers(0, 1))
    def tick(self, process: int) -> None:
        """One process fires what is due by its clock."""
        self.run(self._tick([process]))

    @rule()
    def tick_side_by_side(self) -> None:
        """Both at once."""
        self.run(self._tick([0, 1]))

    async def _tick(self, processes: list[int]) -> None:
        await asyncio.gather(*(self.processes[p].tick() for p in processes))
        if len(processes) == 1:  # side by side one leaves to the other what it holds
            now = self.processes[processes[0]].clock.now()
            for schedule in self.plans.values():
                schedule.looked_until = max(schedule.looked_until, now)

    @precondition(lambda self: self.plans)
    @rule(process=st.integers(0, 1))
    def die_before_the_commit(self, process: int) -> None:
        """Something is due; all is written, and taken back."""
        self._jump(process, max(SECONDS))
        self.run(self._die(process))

    async def _die(self, process: int) -> None:
        scheduler = self.processes[process]
        now = scheduler.clock.now()
        with contextlib.suppress(Died):
            async with scheduler.schedules.claim(now, 32) as claim:
                for due in claim.due:
                    await claim.carry_out(due, plan(due.timing, due.misfire, due.next_at, now))
                raise Died

    @invariant()
    def each_moment_fires_once(self) -> None:
        """And only moments of a schedule, each with the one order and the one fact of its run."""
        self.run(self._compare())

    async def _compare(self) -> None:
        latest = max(p.clock.now() for p in self.processes) + timedelta(days=1)
        rows: list[Any] = await self.processes[0].fetch("select schedule_id, due_at, run_id from scheduler.ticks")
        assert len({(id_, due) for id_, due, _ in rows}) == len(rows)
        assert sorted((due, run) for _, due, run in rows) == await self.processes[0].orders()
        for id_, due, _ in rows:
            assert due in self.plans[id_].moments(latest)
        for id_, schedule in self.plans.items():
            fired = {due for each, due, _ in rows if each == id_}
            if not schedule.removed:
                assert set(schedule.moments(schedule.looked_until)) <= fired

    async def settle(self) -> None:
        """Every moment that passed has fired."""
        for number in range(2):
            await self._tick([number])
        await self._compare()
