"""Commits ends in groups: one commit is under way, and what ends meanwhile shares the next."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog

from penstock_common.db.direct import Direct
from penstock_common.db.engine import is_unavailable, state_of
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.deadletter import describe
from penstock_inference.adapters.statements import COLUMNS, FINISH, FINISH_ONE, NONCES

log = structlog.get_logger()

BATCH = 256
BUSY = 4  # ends in one commit: so many come at once only where many are on their way
PAUSE_SECONDS = 0.005  # after a busy commit, so that the next one has a larger share of them
PROBE_SECONDS = 0.5
STALLED_PROBES = 3  # without an answer: one to one and a half seconds
REPEAT_SECONDS = 0.2
HELD = "55P03"  # PostgreSQL's state for a lock that did not come in time


class Entry:
    """One end on its way to the row."""

    __slots__ = ("doubtful", "future", "nonce", "outbox", "request_id", "values")

    def __init__(self, columns: dict[str, Any], outbox: OutboxRow) -> None:
        self.request_id: UUID = columns["request_id"]
        self.nonce: UUID = columns["nonce"]
        self.values = (*(columns[name] for name in COLUMNS), *outbox.values)
        self.outbox = outbox
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.doubtful = False
        """Whether an earlier commit of it may have succeeded without our knowing."""


class EndWriter:
    """Repeats a group until the database answers; a single end that can't be stored fails alone."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._aside = Direct(database.engine)
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
        await self._aside.close()

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
                await self._record(group, self.database.direct)
                if len(group) >= BUSY:
                    await asyncio.sleep(PAUSE_SECONDS)

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

    async def _record(self, group: list[Entry], direct: Direct, *, awaits_rows: bool = False) -> None:
        """Commit a group as soon as the database answers; `awaits_rows` also that somebody lets go of a row."""
        while True:
            try:
                self._settle(group, await self._commit(group, direct))
                return
            except Exception as error:
                held = is_held(error)
                if not is_passing(error) or (held and not awaits_rows):
                    await self._record_singly(group, error, direct)
                    return
                if not held:
                    log.warning("ends.delayed", waiting=len(group), reason=describe(error))
                    for entry in group:
                        entry.doubtful = True
            await asyncio.sleep(REPEAT_SECONDS)

    async def _record_singly(self, group: list[Entry], error: Exception, direct: Direct) -> None:
        if len(group) > 1:
            for entry in group:
                await self._record([entry], direct)
        elif is_held(error):  # by a frozen process, say: beside those that need not wait for it
            log.warning("end.held", request_id=str(group[0].request_id))
            task = asyncio.create_task(self._record(group, self._aside, awaits_rows=True))
            self._held.add(task)
            task.add_done_callback(self._held.discard)
        elif not group[0].future.done():
            group[0].future.set_exception(error)

    async def _commit(self, group: Sequence[Entry], direct: Direct) -> set[UUID]:
        if len(group) == 1:
            rows = await direct.fetch(FINISH_ONE, *group[0].values)
        else:
            rows = await direct.fetch(FINISH, *zip(*(entry.values for entry in group), strict=True))
        winners: set[UUID] = {row["request_id"] for row in rows}
        if doubtful := [e for e in group if e.doubtful and e.request_id not in winners]:
            known = await direct.fetch(NONCES, [e.request_id for e in doubtful])
            nonces = {row["request_id"]: row["nonce"] for row in known}
            winners |= {e.request_id for e in doubtful if nonces.get(e.request_id) == e.nonce}
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
    return state_of(error.__cause__ if isinstance(error, DatabaseUnavailable) else error) == HELD
