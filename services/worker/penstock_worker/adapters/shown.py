"""Runs and tasks as their owner sees them."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.runs import (
    ListRuns,
    ReadRun,
    ReadTasks,
    RunEntry,
    RunList,
    RunReport,
    RunShown,
    RunState,
    TaskList,
    TaskShown,
    Trigger,
)
from penstock_common.db.transaction import Database
from penstock_common.tasks.checks import redacted
from penstock_worker.adapters import statements as sql
from penstock_worker.adapters.seals import Seals

MAX_LISTED, MAX_ENTRIES = 200, 200
MAX_REPLY = 3 << 20  # bytes of entries in one reply; the bus takes 8 MB
COLUMNS = """
id, task, trigger, state, version, created_at, source_id, due_at, started_at, ended_at, step, steps, error_code,
sealed_error
"""
READ = text(f"select {COLUMNS}, sealed, sealed_output from worker.runs where id = :id and tenant = :tenant")
LIST = text(f"""
select {COLUMNS} from worker.runs
where tenant = :tenant and (cast(:before as uuid) is null or id < :before) and (:task = '' or task = :task)
      and (:source = '' or source_id = :source)
order by id desc limit :limit
""")
TASKS = text("""
select name, version, saved_at, task_id, sealed from worker.tasks
where tenant = :tenant and sealed is not null and (:name = '' or name = :name) and name > :after
order by name limit :limit
""")


class Shown:
    """Reads for queries."""

    def __init__(self, database: Database, seals: Seals) -> None:
        self.database, self.seals = database, seals

    async def run(self, question: ReadRun) -> RunReport:
        """One run, and its journal after a version: so much of it as fits a message."""
        async with self.database.reading() as connection:
            place = {"id": question.run_id, "tenant": question.tenant}
            row = (await connection.execute(READ, place)).one_or_none()
            if row is None:
                return RunReport()
            entries = await self._entries(connection, question)
        shown = self._shown(row, input_=self._input(row), output=self._open(row.id, row.sealed_output))
        return RunReport(run=shown, entries=entries)

    async def runs(self, question: ListRuns) -> RunList:
        """The newest runs."""
        given = {
            "tenant": question.tenant,
            "before": question.before,
            "task": question.task,
            "source": question.source_id,
            "limit": max(1, min(question.limit, MAX_LISTED)),
        }
        async with self.database.reading() as connection:
            rows = (await connection.execute(LIST, given)).all()
        return RunList(runs=[self._shown(row) for row in rows])

    async def tasks(self, question: ReadTasks) -> TaskList:
        """Tasks by name; only the one asked for by its name comes with its declaration."""
        given = {
            "tenant": question.tenant,
            "name": question.name,
            "after": question.after,
            "limit": max(1, min(question.limit, MAX_LISTED)),
        }
        async with self.database.reading() as connection:
            rows = (await connection.execute(TASKS, given)).all()
        return TaskList(tasks=[self._task(row, bool(question.name)) for row in rows])

    async def _entries(self, connection: AsyncConnection, question: ReadRun) -> list[RunEntry]:
        given = {"id": question.run_id, "after": question.after, "limit": max(1, min(question.limit, MAX_ENTRIES))}
        entries: list[RunEntry] = []
        size = 0
        for row in await connection.execute(sql.ENTRIES, given):
            size += len(row.sealed)
            if entries and size > MAX_REPLY:
                break
            detail = self._open(question.run_id, row.sealed) or {}
            entries.append(RunEntry(row.version, row.at, row.kind, row.step, detail))
        return entries

    def _shown(self, row: "Row[Any]", *, input_: Any = None, output: Any = None) -> RunShown:
        waits = row.state == RunState.QUEUED and row.version > 0  # for a run below, or for a bus that is away
        return RunShown(
            run_id=row.id,
            task=row.task,
            trigger=Trigger(row.trigger),
            state=RunState.RUNNING if waits else RunState(row.state),
            version=row.version,
            created_at=row.created_at,
            source_id=row.source_id,
            due_at=row.due_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            step=row.step,
            steps=row.steps,
            input=input_,
            output=output,
            error_code=row.error_code,
            error=self._open(row.id, row.sealed_error) or "",
        )

    def _task(self, row: "Row[Any]", whole: bool) -> TaskShown:
        declaration = self._open(row.task_id, row.sealed) if whole else None
        return TaskShown(row.name, row.version, row.saved_at, redacted(declaration or {}))

    def _input(self, row: "Row[Any]") -> Any:
        return (self._open(row.id, row.sealed) or {}).get("input")

    def _open(self, context: UUID, sealed: bytes | None) -> Any:
        return self.seals.open_or_none(context, sealed)
