"""Runs in PostgreSQL. Each write of a run's journal is one transaction, refused to all but its newest holder."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from penstock_common.contracts.runs import CancelRun, RunChanged, RunEntry, RunState, Trigger
from penstock_common.db.transaction import Database, Transaction
from penstock_worker.adapters import statements as sql
from penstock_worker.adapters.seals import Seals
from penstock_worker.domain.errors import Superseded
from penstock_worker.domain.progress import ENDED, STEP_FINISHED
from penstock_worker.ports import Child, Claimed, End, Hold, Note, StateChange

LEASE_SECONDS = 6.0
ALL = 100_000


class SqlRuns:
    """Implements `RunStore`."""

    def __init__(self, database: Database, seals: Seals, lease: float = LEASE_SECONDS) -> None:
        self.database, self.seals, self.lease = database, seals, lease

    async def claim(self, owner: str, limit: int) -> list[Claimed]:
        """See `RunStore`."""
        if not await self.database.finds(sql.CLAIMABLE):
            return []
        async with self.database.reading() as connection:
            given = {"owner": owner, "limit": limit, "lease": self.lease}
            return [_claimed(row, owner) for row in await connection.execute(sql.CLAIM, given)]

    async def content(self, held: Claimed) -> tuple[Any, Any]:
        """See `RunStore`."""
        run_id = held.hold.run_id
        async with self.database.reading() as connection:
            row = (await connection.execute(sql.CONTENT, {"id": run_id})).one()
        content = self.seals.open(run_id, row.sealed) if row.sealed else {}
        declaration = self.seals.open(row.task_id, row.sealed_task) if row.task_id else content.get("task")
        return declaration, content.get("input")

    async def entries(self, run_id: UUID) -> list[RunEntry]:
        """See `RunStore`."""
        async with self.database.reading() as connection:
            rows = await connection.execute(sql.ENTRIES, {"id": run_id, "after": 0, "limit": ALL})
            return [self._entry(run_id, row) for row in rows]

    async def append(self, held: Claimed, note: Note) -> RunEntry:
        """See `RunStore`."""
        async with self.database.transaction() as tx:
            return await self._append(tx, held, note)

    async def remember(self, held: Claimed, step: str, change: StateChange) -> RunEntry:
        """See `RunStore`."""
        place = {"tenant": held.tenant, "task": held.task, "mac": self.seals.mac(held.tenant, change.key)}
        context = f"memory:{held.task}:{place['mac']}"
        async with self.database.transaction() as tx:
            await tx.connection.execute(sql.MAKE_MEMORY, place)
            sealed = await tx.connection.scalar(sql.READ_MEMORY, place)
            before = self.seals.open_or_none(context, sealed) or {}
            after = change.compute(before)
            kept = {**place, "sealed": self.seals.seal(held.tenant, context, after)}
            await tx.connection.execute(sql.WRITE_MEMORY, kept)
            output = {"before": before, "after": after}
            return await self._append(tx, held, Note(kind=STEP_FINISHED, step=step, detail={"output": output}))

    async def end(self, held: Claimed, end: End) -> None:
        """See `RunStore`."""
        run_id = held.hold.run_id
        async with self.database.transaction() as tx:
            row = (await tx.connection.execute(sql.END, self._ended(held, end))).one_or_none()
            if row is None:
                raise Superseded
            tx.publish(_changed(held, row, end.state, end.error_code))
            for message_id, message in end.publish:
                tx.publish(message, message_id=message_id)
            if end.state is RunState.CANCELLED:
                for child in await tx.connection.scalars(sql.CHILDREN, {"id": str(run_id)}):
                    tx.publish(CancelRun(run_id=child, tenant=held.tenant, reason=end.error))
        if held.trigger is Trigger.RUN:
            async with self.database.reading() as connection:
                await connection.execute(sql.WAKE, {"id": UUID(held.source_id)})

    async def release(self, held: Claimed, delay: float) -> None:
        """See `RunStore`."""
        async with self.database.reading() as connection:
            await connection.execute(sql.RELEASE, {**_fence(held.hold), "delay": delay})

    async def beat(self, holds: Collection[Hold]) -> dict[UUID, str]:
        """See `RunStore`."""
        given = {
            "ids": [hold.run_id for hold in holds],
            "epochs": [hold.epoch for hold in holds],
            "owner": next(hold.owner for hold in holds),
            "lease": self.lease,
        }
        async with self.database.reading() as connection:
            return {row.id: row.cancel_reason for row in await connection.execute(sql.BEAT, given)}

    async def child(self, run_id: UUID) -> Child | None:
        """See `RunStore`."""
        async with self.database.reading() as connection:
            row = (await connection.execute(sql.CHILD, {"id": run_id})).one_or_none()
        if row is None:
            return None
        opened = self.seals.open_or_none
        return Child(
            RunState(row.state),
            opened(run_id, row.sealed_output),
            row.error_code,
            opened(run_id, row.sealed_error) or "",
        )

    async def _append(self, tx: Transaction[Any], held: Claimed, note: Note) -> RunEntry:
        given = {
            **_fence(held.hold),
            "lease": self.lease,
            "kind": note.kind,
            "name": note.step,
            "sealed": self.seals.seal(held.tenant, held.hold.run_id, note.detail),
            "done": int(note.kind in ENDED),
            "steps": note.steps,
        }
        row = (await tx.connection.execute(sql.APPEND, given)).one_or_none()
        if row is None:
            raise Superseded
        tx.publish(_changed(held, row, RunState.RUNNING))
        for message_id, message in note.publish:
            tx.publish(message, message_id=message_id)
        return RunEntry(row.version, row.at, note.kind, note.step, dict(note.detail))

    def _ended(self, held: Claimed, end: End) -> dict[str, Any]:
        run_id, seal = held.hold.run_id, self.seals.seal
        detail: dict[str, Any] = {"state": end.state.value}
        if end.error_code:
            detail["error"] = {"code": end.error_code, "message": end.error}
        return {
            **_fence(held.hold),
            "state": end.state.value,
            "error_code": end.error_code,
            "output": seal(held.tenant, run_id, end.output),
            "error": seal(held.tenant, run_id, end.error),
            "sealed": seal(held.tenant, run_id, detail),
        }

    def _entry(self, run_id: UUID, row: "Row[Any]") -> RunEntry:
        return RunEntry(row.version, row.at, row.kind, row.step, self.seals.open(run_id, row.sealed))


def _claimed(row: "Row[Any]", owner: str) -> Claimed:
    return Claimed(
        hold=Hold(row.id, owner, row.epoch),
        tenant=row.tenant,
        key_id=row.key_id,
        task=row.task,
        trigger=Trigger(row.trigger),
        source_id=row.source_id,
        due_at=row.due_at,
        depth=row.depth,
        deaths=row.deaths,
        cancel_reason=row.cancel_reason,
        traceparent=row.traceparent,
        replay=row.replay,
        effects=row.effects,
    )


def _fence(hold: Hold) -> dict[str, Any]:
    return {"id": hold.run_id, "owner": hold.owner, "epoch": hold.epoch}


def _changed(held: Claimed, row: "Row[Any]", state: RunState, error_code: str = "") -> RunChanged:
    return RunChanged(
        run_id=held.hold.run_id,
        tenant=held.tenant,
        version=row.version,
        state=state,
        step=row.done,
        error_code=error_code,
    )
