"""Commits ends in groups, without a timer: one commit is under way, and what ends meanwhile shares the next."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog

from penstock_common.db.engine import is_unavailable
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database, columns_of
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.deadletter import describe
from penstock_inference.adapters.statements import FINISH, NONCES

log = structlog.get_logger()

BATCH = 256
PROBE_SECONDS = 0.5
STALLED_PROBES = 3  # without an answer: one to one and a half seconds
REPEAT_SECONDS = 0.2
HELD = "55P03"  # PostgreSQL's state for a lock that did not come in time


class Entry:
    """One end on its way to the row."""

    __slots__ = ("columns", "doubtful", "future", "outbox")

    def __init__(self, columns: dict[str, Any], outbox: OutboxRow) -> None:
        self.columns, self.outbox = columns, outbox
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.doubtful = False
        """Whether an earlier commit of it may have succeeded without our knowing."""

    @property
    def request_id(self) -> UUID:
        """The key of the row."""
        key: UUID = self.columns["request_id"]
        return key


class EndWriter:
    """Repeats a group until the database answers; a single end that can't be stored fails alone."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: list[Entry] = []
        self._wake = asyncio.Event()
        self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._held: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to write, and to notice when the database is away."""
        self._tasks = [asyncio.create_task(each()) for each in (self._write_loop, self._probe_loop, self._count_loop)]

    async def stop(self) -> None:
        """Write no more."""
        tasks = [*self._tasks, *self._held]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def stalled(self) -> bool:
        """Whether the database has not answered for more than a second."""
        return self._unanswered >= STALLED_PROBES

    async def write(self, entry: Entry) -> bool:
        """True if this end is the one that counts."""
        self._waiting.append(entry)
        self._wake.set()
        return await entry.future

    async def _write_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while group := self._next_group():
                await self._write_group(group)

    def _next_group(self) -> list[Entry]:
        """Ends of different requests: a statement may touch a row only once."""
        group: dict[UUID, Entry] = {}
        later: list[Entry] = []
        for entry in self._waiting:
            if len(group) < BATCH and entry.request_id not in group:
                group[entry.request_id] = entry
            else:
                later.append(entry)
        self._waiting = later
        return list(group.values())

    async def _write_group(self, group: list[Entry]) -> None:
        while True:
            try:
                winners = await self._commit(group)
            except Exception as error:
                if is_passing(error) and not is_held(error):
                    for entry in group:
                        entry.doubtful = True
                    log.warning("ends.delayed", waiting=len(group), reason=describe(error))
                    await asyncio.sleep(REPEAT_SECONDS)
                    continue
                await self._write_singly(group, error)
                return
            self._settle(group, winners)
            return

    async def _write_singly(self, group: list[Entry], error: Exception) -> None:
        if len(group) > 1:
            for entry in group:
                await self._write_group([entry])
        elif is_held(error):
            task = asyncio.create_task(self._write_held(group[0]))
            self._held.add(task)
            task.add_done_callback(self._held.discard)
        elif not group[0].future.done():
            group[0].future.set_exception(error)

    async def _write_held(self, entry: Entry) -> None:
        """Repeat an end whose row somebody else holds, a frozen process say, beside those that need not wait for it."""
        log.warning("end.held", request_id=str(entry.request_id))
        while True:
            await asyncio.sleep(REPEAT_SECONDS)
            try:
                winners = await self._commit([entry])
            except Exception as error:
                if is_passing(error):
                    entry.doubtful = entry.doubtful or not is_held(error)
                    continue
                if not entry.future.done():
                    entry.future.set_exception(error)
                return
            self._settle([entry], winners)
            return

    async def _commit(self, group: Sequence[Entry]) -> set[UUID]:
        async with self.database.reading() as connection:
            winners = set(await connection.scalars(FINISH, parameters(group)))
            doubtful = [e for e in group if e.doubtful and e.request_id not in winners]
            if doubtful:
                ids = {"ids": [e.request_id for e in doubtful]}
                nonces = {r.request_id: r.nonce for r in await connection.execute(NONCES, ids)}
                winners |= {e.request_id for e in doubtful if nonces.get(e.request_id) == e.columns["nonce"]}
        self._unanswered = 0
        return winners

    def _settle(self, group: Sequence[Entry], winners: set[UUID]) -> None:
        self.database.offer([e.outbox for e in group if e.request_id in winners])
        for entry in group:
            if not entry.future.done():
                entry.future.set_result(entry.request_id in winners)

    async def _probe_loop(self) -> None:
        while True:
            if await self.database.reachable():
                self._unanswered = 0
            await asyncio.sleep(PROBE_SECONDS)

    async def _count_loop(self) -> None:
        """Count by turns of the loop, not by the clock: where this process was frozen, the database was not away."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            self._unanswered += 1


def is_passing(error: Exception) -> bool:
    """Whether it is the database's state that failed, and not the end."""
    return is_unavailable(error) or isinstance(error, DatabaseUnavailable)


def is_held(error: Exception) -> bool:
    """Whether somebody else holds the row."""
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    return getattr(getattr(cause, "orig", None), "sqlstate", "") == HELD


def parameters(group: Sequence[Entry]) -> dict[str, list[Any]]:
    """Ends as one array a column."""
    columns: dict[str, list[Any]] = {name: [e.columns[name] for e in group] for name in group[0].columns}
    outbox = columns_of([e.outbox for e in group])
    return columns | {f"out_{name}": values for name, values in outbox.items()}
