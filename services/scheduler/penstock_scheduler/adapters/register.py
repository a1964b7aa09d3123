"""Schedules as their owners save, remove and read them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from penstock_common.contracts.base import Contract
from penstock_common.contracts.schedules import (
    Misfire,
    ReadSchedules,
    RemoveSchedule,
    SaveSchedule,
    ScheduleList,
    ScheduleShown,
    Timing,
)
from penstock_common.db.transaction import Database, Transaction
from penstock_common.errors import SubjectErased
from penstock_scheduler.adapters.inputs import Inputs
from penstock_scheduler.adapters.statements import BURY, KNOWN, LOCK, ONE, PAGE, REMOVE, REMOVED, SAVE, TOTAL
from penstock_scheduler.domain.planning import Known

MOST = 100
"""Schedules in one answer."""


class SqlEntry:
    """One schedule in an open transaction, which no other handler changes meanwhile."""

    def __init__(self, tx: Transaction[Any], command: SaveSchedule | RemoveSchedule) -> None:
        self.connection, self.tx = tx.connection, tx
        self.key = {"id": command.schedule_id, "tenant": command.tenant}

    async def known(self) -> Known | None:
        """The schedule as it is; waits for a handler or a tick that has it."""
        await self.connection.execute(LOCK, {"id": str(self.key["id"])})
        row = (await self.connection.execute(KNOWN, self.key)).one_or_none()
        return Known(msgspec.json.decode(row.timing, type=Timing), row.is_paused, row.next_at) if row else None

    async def save(self, command: SaveSchedule, timing: Timing, next_at: datetime | None) -> int | None:
        """Its new version; None where it was removed, or a later command was faster."""
        if await self.connection.scalar(REMOVED, self.key):
            return None
        row = {
            **self.key,
            "key_id": command.key_id,
            "name": command.name,
            "task": command.task,
            "timing": msgspec.json.encode(timing).decode(),
            "sealed": command.sealed,
            "misfire": command.misfire.value,
            "is_paused": command.paused,
            "next_at": next_at,
            "saved_at": command.saved_at,
        }
        version: int | None = await self.connection.scalar(SAVE, row)
        return version

    async def remove(self, removed_at: datetime) -> int | None:
        """The version it had, or None; a command to save it that is still on its way will find it removed."""
        await self.connection.execute(LOCK, {"id": str(self.key["id"])})
        await self.connection.execute(BURY, {**self.key, "removed_at": removed_at})
        version: int | None = await self.connection.scalar(REMOVE, self.key)
        return version

    def publish(self, message: Contract) -> None:
        """Publish once the transaction commits."""
        self.tx.publish(message)


@dataclass(frozen=True, slots=True)
class SqlDeps:
    """What the handlers get in a running service."""

    database: Database
    changed: Callable[[], None]
    """Called after a commit: something may be due earlier."""

    @asynccontextmanager
    async def entry(self, command: SaveSchedule | RemoveSchedule) -> AsyncIterator[SqlEntry]:
        """Begin with the command's inbox row; commit at the end of the block, and look at what is due then."""
        async with self.database.transaction(command) as tx:
            yield SqlEntry(tx, command)
        self.changed()


class SqlReader:
    """Answers what a tenant may know of its schedules."""

    def __init__(self, database: Database, inputs: Inputs) -> None:
        self.database, self.inputs = database, inputs

    async def read(self, question: ReadSchedules) -> ScheduleList:
        """One schedule with its input, or a page without inputs. Raises DatabaseUnavailable."""
        given = {"tenant": question.tenant}
        async with self.database.reading() as connection:
            if question.schedule_id is not None:
                rows = (await connection.execute(ONE, {**given, "id": question.schedule_id})).all()
                return ScheduleList(schedules=[shown(row, self._input(row)) for row in rows], total=len(rows))
            page = {**given, "after": question.after, "limit": max(1, min(question.limit, MOST))}
            rows = (await connection.execute(PAGE, page)).all()
            total = await connection.scalar(TOTAL, given)
        return ScheduleList(schedules=[shown(row) for row in rows], total=total or 0)

    def _input(self, row: Row[Any]) -> msgspec.Raw | None:
        try:
            return self.inputs.of(row.id, bytes(row.sealed))
        except SubjectErased:
            return None


def shown(row: Row[Any], given: Any = None) -> ScheduleShown:
    """A row as its owner sees it."""
    return ScheduleShown(
        schedule_id=row.id,
        name=row.name,
        timing=msgspec.json.decode(row.timing, type=Timing),
        task=row.task,
        misfire=Misfire(row.misfire),
        version=row.version,
        saved_at=row.saved_at,
        paused=row.is_paused,
        input=given,
        next_at=row.next_at,
        last_at=row.last_at,
        last_run_id=row.last_run_id,
    )
