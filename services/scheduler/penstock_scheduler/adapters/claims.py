"""Due schedules in one transaction: ticks, orders and the next moment become true together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from penstock_common.contracts.runs import StartRun, Trigger
from penstock_common.contracts.schedules import Misfire, TickFired, Timing
from penstock_common.db.transaction import Database, Transaction
from penstock_common.ids import uuid7
from penstock_scheduler.adapters.inputs import Inputs
from penstock_scheduler.adapters.statements import CLAIM, EARLIEST, FORGET, MOVE, PUT_OFF, TICK
from penstock_scheduler.domain.planning import Plan
from penstock_scheduler.ports import DueSchedule


class SqlClaim:
    """One transaction's due schedules."""

    def __init__(self, tx: Transaction, due: Sequence[DueSchedule], inputs: Inputs) -> None:
        self.tx, self.due, self.inputs = tx, due, inputs

    async def carry_out(self, schedule: DueSchedule, plan: Plan) -> int:
        """Write its ticks with the orders of their runs, and move it on; returns the bytes written."""
        given = self.inputs.of(schedule.id, schedule.sealed)
        commands = [self._command(schedule, due, given) for due in plan.fires]
        ticks = {"id": schedule.id, "due": plan.fires, "run": [c.run_id for c in commands]}
        written = {row.run_id for row in await self.tx.connection.execute(TICK, ticks)} if commands else set()
        for command in commands:
            if command.run_id in written:
                self._publish(schedule, command)
        last = next((c for c in reversed(commands) if c.run_id in written), None)
        moved = {
            "id": schedule.id,
            "next_at": plan.next_at,
            "last_at": last.due_at if last else None,
            "last_run_id": last.run_id if last else None,
        }
        await self.tx.connection.execute(MOVE, moved)
        return sum(len(command.sealed) for command in commands)

    async def put_off(self, schedule: DueSchedule, until: datetime) -> None:
        """Leave a schedule alone for a while, its ticks unwritten."""
        await self.tx.connection.execute(PUT_OFF, {"id": schedule.id, "until": until})

    def _command(self, schedule: DueSchedule, due: datetime, given: msgspec.Raw) -> StartRun:
        run_id = uuid7()
        return StartRun(
            run_id=run_id,
            tenant=schedule.tenant,
            key_id=schedule.key_id,
            trigger=Trigger.SCHEDULE,
            source_id=str(schedule.id),
            task=schedule.task,
            sealed=self.inputs.for_run(schedule.tenant, run_id, given),
            due_at=due,
        )

    def _publish(self, schedule: DueSchedule, command: StartRun) -> None:
        assert command.due_at is not None
        self.tx.publish(command, message_id=f"{command.run_id}.start")
        fact = TickFired(schedule_id=schedule.id, tenant=schedule.tenant, due_at=command.due_at, run_id=command.run_id)
        self.tx.publish(fact, message_id=f"{command.run_id}.fired")


class SqlSchedules:
    """The schedules as the ticker sees them."""

    def __init__(self, database: Database, inputs: Inputs) -> None:
        self.database, self.inputs = database, inputs

    @asynccontextmanager
    async def claim(self, now: datetime, limit: int) -> AsyncIterator[SqlClaim]:
        """Open a transaction on schedules due by now that no other process holds; it commits with the block."""
        async with self.database.transaction() as tx:
            rows = await tx.connection.execute(CLAIM, {"now": now, "limit": limit})
            yield SqlClaim(tx, [_due(row) for row in rows], self.inputs)

    async def earliest(self) -> datetime | None:
        """When the next schedule is to be looked at."""
        async with self.database.reading() as connection:
            found: datetime | None = await connection.scalar(EARLIEST)
        return found

    async def forget(self, before: datetime) -> None:
        """Drop ticks and removals older than anything that can come back. Raises DatabaseUnavailable."""
        async with self.database.reading() as connection:
            for statement in FORGET:
                await connection.execute(statement, {"before": before})


def _due(row: Row[Any]) -> DueSchedule:
    timing = msgspec.json.decode(row.timing, type=Timing)
    return DueSchedule(
        row.id, row.tenant, row.key_id, row.task, timing, Misfire(row.misfire), row.next_at, bytes(row.sealed)
    )
