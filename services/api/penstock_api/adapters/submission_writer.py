"""Commits submissions in groups: one commit is under way, and what comes meanwhile shares the next."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from penstock_api.adapters.idempotency import Claim, claimed
from penstock_api.adapters.submission_statements import ACCEPT, CALL_BACK, HISTORY, KEEP, REMEMBER
from penstock_api.domain.errors import Busy
from penstock_api.domain.idempotency import IdempotencyKeyReused
from penstock_common.contracts.generation import GenerateText
from penstock_common.contracts.queueing import QueueText
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database, Transaction, outbox_row
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.envelope import CONTEXT, Context

GROUP = 128
GROUP_BYTES = 64 << 20
MOST = 1_000
"""Submissions that wait for a commit; each is held whole in memory meanwhile."""
BUSY = 4  # submissions in one commit: so many come at once only where many are on their way
PAUSE_SECONDS = 0.005  # after a busy commit, so that the next one has a larger share of them


@dataclass(frozen=True, slots=True)
class Entry:
    """One submission on its way to disk."""

    command: GenerateText
    claim: Claim | None
    hook: dict[str, Any] | None
    """The row of the webhook that hears of its end."""
    callback: dict[str, Any] | None = None
    """That of a URL that does."""
    context: Context = field(default_factory=CONTEXT.get)
    future: "asyncio.Future[UUID]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def is_plain(self) -> bool:
        """Whether nothing belongs to it but its row of the history and its command."""
        return self.claim is None and self.hook is None and self.callback is None


class SubmissionWriter:
    """Writes the history's row, the command, and what belongs to them, in one transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: list[Entry] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write no more; who still waits is told so."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for entry in self._waiting:
            settle(entry, DatabaseUnavailable("this process is stopping"))

    async def write(self, entry: Entry) -> UUID:
        """The id under which the request is on disk: that of before, where its key named one.

        Raises Busy, IdempotencyKeyReused, DatabaseUnavailable.
        """
        if len(self._waiting) >= MOST:
            raise Busy
        self._waiting.append(entry)
        self._wake.set()
        return await entry.future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = group_of(self._waiting)
                group, self._waiting = self._waiting[:count], self._waiting[count:]
                try:
                    await self._write_group(group)
                except asyncio.CancelledError:
                    self._waiting = [*group, *self._waiting]
                    raise
                if count >= BUSY:
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _write_group(self, group: Sequence[Entry]) -> None:
        plain = [entry for entry in group if entry.is_plain]
        others = [entry for entry in group if not entry.is_plain]
        for some in filter(None, (plain, others)):
            await self._write_alike(some)

    async def _write_alike(self, group: Sequence[Entry]) -> None:
        try:
            ids = await (self._accept(group) if group[0].is_plain else self._commit(group))
        except Exception as error:
            if len(group) > 1 and not isinstance(error, DatabaseUnavailable):  # it costs only itself
                for entry in group:
                    await self._write_alike([entry])
                return
            ids = dict.fromkeys(map(id, group), error)
        for entry in group:
            settle(entry, ids[id(entry)])

    async def _accept(self, group: Sequence[Entry]) -> dict[int, UUID | Exception]:
        """Keep plain ones, by one statement. Raises DatabaseUnavailable."""
        rows = [row_of(entry, self.database) for entry in group]
        history = columns_of([entry.command for entry in group]).values()
        await self.database.at_once(ACCEPT, [*history, *zip(*(row.values for row in rows), strict=True)], rows)
        return {id(entry): entry.command.request_id for entry in group}

    async def _commit(self, group: Sequence[Entry]) -> dict[int, UUID | Exception]:
        """What became of each, once that is committed. Raises DatabaseUnavailable."""
        ids: dict[int, UUID | Exception] = {}
        async with self.database.transaction() as tx:
            for entry in group:
                ids[id(entry)] = await named(tx, entry)
            fresh = [entry for entry in group if ids[id(entry)] == entry.command.request_id]
            if fresh:
                await tx.connection.execute(KEEP, columns_of([entry.command for entry in fresh]))
            if hooks := [entry.hook for entry in fresh if entry.hook]:
                await tx.connection.execute(REMEMBER, hooks)
            if callbacks := [entry.callback for entry in fresh if entry.callback]:
                await tx.connection.execute(CALL_BACK, callbacks)
            tx.rows.extend(row_of(entry, self.database) for entry in fresh)
        return ids


def group_of(entries: Sequence[Entry], most: int = GROUP, most_bytes: int = GROUP_BYTES) -> int:
    """How many of the first are committed together: at least one."""
    size = count = 0
    for entry in entries[:most]:
        size += len(entry.command.sealed)
        if count and size > most_bytes:
            break
        count += 1
    return count


async def named(tx: Transaction[Any], entry: Entry) -> UUID | Exception:
    """The id of the request that an entry stands for; as a value, its error fails no other."""
    if entry.claim is None:
        return entry.command.request_id
    try:
        return await claimed(tx.connection, entry.claim)
    except IdempotencyKeyReused as error:
        return error


def row_of(entry: Entry, database: Database) -> OutboxRow:
    """What sends the command once it is committed. An interactive one has the id that it has wherever it is sent."""
    kind = "queue" if isinstance(entry.command, QueueText) else "generate"
    token = CONTEXT.set(entry.context)
    try:
        return outbox_row(database.topology, entry.command, f"{entry.command.request_id}.{kind}", None)
    finally:
        CONTEXT.reset(token)


def settle(entry: Entry, result: UUID | Exception) -> None:
    """Tell who waits."""
    if entry.future.done():
        return
    if isinstance(result, Exception):
        entry.future.set_exception(result)
    else:
        entry.future.set_result(result)


def columns_of(commands: Sequence[GenerateText]) -> dict[str, list[Any]]:
    """Rows of the history as one array a column."""
    columns: dict[str, list[Any]] = {
        name: [getattr(command, name) for command in commands] for name in HISTORY if name != "decisions"
    }
    trails = [msgspec.json.encode(command.decisions).decode() for command in commands]
    return {name: trails if name == "decisions" else columns[name] for name in HISTORY}
