"""What commands change, each in its handler's transaction."""

import os
from typing import Any

from sqlalchemy import text

from penstock_common.contracts.runs import CancelRun, RemoveTask, RunChanged, RunState, SaveTask, StartRun
from penstock_common.db.transaction import Transaction
from penstock_common.errors import PenstockError
from penstock_common.messaging.envelope import CONTEXT
from penstock_common.tracing.traceparent import continued
from penstock_worker.adapters.seals import Seals
from penstock_worker.adapters.statements import CHILDREN
from penstock_worker.domain.depth import check_depth
from penstock_worker.domain.errors import TaskMissing
from penstock_worker.domain.progress import RUN_FINISHED

FIND_TASK = text("""
select task_id, sealed from worker.tasks where tenant = :tenant and name = :name and sealed is not null
""")
KEEP = text("""
insert into worker.runs (
    id, tenant, key_id, task, task_id, sealed_task, sealed, trigger, source_id, due_at, depth, traceparent,
    replay, effects
) values (
    :id, :tenant, :key_id, :task, :task_id, :sealed_task, :sealed, :trigger, :source_id, :due_at, :depth, :traceparent,
    :replay, :effects
)
on conflict do nothing returning id
""")
CANCEL = text("""
update worker.runs set cancel_reason = :reason
where id = :id and tenant = :tenant and state in ('queued', 'running') and cancel_reason = '' returning state
""")
CLOSE = text("""
update worker.runs
set state = :state, version = version + 1, ended_at = now(), error_code = :code, sealed_error = :error
where id = :id and state = 'queued' returning version, step
""")
LAST_ENTRY = text("""
insert into worker.entries (run_id, version, kind, step, sealed) values (:id, :version, :kind, '', :sealed)
""")
SAVE_TASK = text("""
insert into worker.tasks (tenant, name, task_id, sealed, saved_at)
values (:tenant, :name, :task_id, :sealed, :at)
on conflict (tenant, name) do update
set task_id = excluded.task_id, sealed = excluded.sealed, saved_at = excluded.saved_at, version = tasks.version + 1
where tasks.saved_at < excluded.saved_at
""")
# A row without a declaration stays behind, so that an older one that arrives late does not bring the task back.
REMOVE_TASK = text("""
update worker.tasks set sealed = null, saved_at = :at where tenant = :tenant and name = :name and saved_at < :at
""")


class SqlIntake:
    """Implements `Intake`."""

    def __init__(self, seals: Seals) -> None:
        self.seals = seals

    async def start(self, tx: Transaction[Any], command: StartRun) -> None:
        """See `Intake`."""
        task = None
        if command.task:
            place = {"tenant": command.tenant, "name": command.task}
            task = (await tx.connection.execute(FIND_TASK, place)).one_or_none()
        kept = await tx.connection.scalar(KEEP, _columns(command) | _task_columns(task))
        if kept is None:
            return
        tx.publish(_changed(command, 0, RunState.QUEUED))
        try:
            check_depth(command.depth)
            if command.task and task is None:
                raise TaskMissing(f"there is no task called {command.task!r}; see: penstock tasks ls")
        except PenstockError as error:
            await self._close(tx, command, RunState.FAILED, error.code, error.message)

    async def cancel(self, tx: Transaction[Any], command: CancelRun) -> None:
        """See `Intake`."""
        reason = command.reason or "cancelled"
        given = {"id": command.run_id, "tenant": command.tenant, "reason": reason}
        if await tx.connection.scalar(CANCEL, given) == RunState.QUEUED:
            await self._close(tx, command, RunState.CANCELLED, "worker.run_cancelled", reason)
            for child in await tx.connection.scalars(CHILDREN, {"id": str(command.run_id)}):
                tx.publish(CancelRun(run_id=child, tenant=command.tenant, reason=reason))

    async def save(self, tx: Transaction[Any], command: SaveTask) -> None:
        """See `Intake`."""
        given = {
            "tenant": command.tenant,
            "name": command.name,
            "task_id": command.task_id,
            "sealed": command.sealed,
            "at": command.saved_at,
        }
        await tx.connection.execute(SAVE_TASK, given)

    async def remove(self, tx: Transaction[Any], command: RemoveTask) -> None:
        """See `Intake`."""
        given = {"tenant": command.tenant, "name": command.name, "at": command.removed_at}
        await tx.connection.execute(REMOVE_TASK, given)

    async def _close(
        self, tx: Transaction[Any], command: StartRun | CancelRun, state: RunState, code: str, sentence: str
    ) -> None:
        """End a run that nobody holds."""
        run_id, tenant = command.run_id, command.tenant
        detail = {"state": state.value, "error": {"code": code, "message": sentence}}
        closed = {"id": run_id, "state": state.value, "code": code, "error": self.seals.seal(tenant, run_id, sentence)}
        row = (await tx.connection.execute(CLOSE, closed)).one()
        entry = {"version": row.version, "kind": RUN_FINISHED, "sealed": self.seals.seal(tenant, run_id, detail)}
        await tx.connection.execute(LAST_ENTRY, {"id": run_id, **entry})
        tx.publish(_changed(command, row.version, state, row.step, code))


def _columns(command: StartRun) -> dict[str, Any]:
    context = CONTEXT.get()
    return {
        "id": command.run_id,
        "tenant": command.tenant,
        "key_id": command.key_id,
        "task": command.task,
        "sealed": command.sealed,
        "trigger": command.trigger.value,
        "source_id": command.source_id,
        "due_at": command.due_at,
        "depth": command.depth,
        "traceparent": context.traceparent or continued(None, os.urandom(24)),  # by it the calls of a run are found
        "replay": context.replay,
        "effects": context.effects,
    }


def _task_columns(task: Any) -> dict[str, Any]:
    return {"task_id": task.task_id, "sealed_task": task.sealed} if task else {"task_id": None, "sealed_task": None}


def _changed(
    command: StartRun | CancelRun, version: int, state: RunState, step: int = 0, error_code: str = ""
) -> RunChanged:
    return RunChanged(
        run_id=command.run_id,
        tenant=command.tenant,
        version=version,
        state=state,
        step=step,
        error_code=error_code,
    )
