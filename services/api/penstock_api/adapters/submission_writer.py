"""Commits submissions in groups, without a timer: one commit is under way, and what comes meanwhile shares the next."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from penstock_api.adapters.idempotency import Claim, claimed
from penstock_api.domain.errors import Busy
from penstock_api.domain.idempotency import IdempotencyKeyReused
from penstock_common.contracts.generation import GenerateText
from penstock_common.contracts.queueing import QueueText
from penstock_common.db.transaction import Database, Transaction
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.envelope import CONTEXT, Context

GROUP = 32
MOST = 1_000
"""Submissions that wait for a commit; each is held whole in memory meanwhile."""

KEEP = text("""
insert into api.requests (request_id, tenant, key_id, model, streamed, lane, status, decisions, accepted_at, deadline)
select request_id, tenant, key_id, model, streamed, lane, 'accepted', cast(decisions as jsonb), accepted_at, deadline
from unnest(cast(:request_id as uuid[]), cast(:tenant as uuid[]), cast(:key_id as uuid[]), cast(:model as text[]),
  cast(:streamed as bool[]), cast(:lane as text[]), cast(:decisions as text[]), cast(:accepted_at as timestamptz[]),
  cast(:deadline as timestamptz[]))
as g(request_id, tenant, key_id, model, streamed, lane, decisions, accepted_at, deadline)
on conflict do nothing
""")
REMEMBER = text("""
insert into api.completion_hooks (request_id, tenant, hook_id, depth)
values (:request_id, :tenant, :hook_id, :depth) on conflict do nothing
""")
CALL_BACK = text("""
insert into api.callbacks (request_id, tenant, sealed, depth)
values (:request_id, :tenant, :sealed, :depth) on conflict do nothing
""")


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
                group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                try:
                    await self._write_group(group)
                except asyncio.CancelledError:
                    self._waiting = [*group, *self._waiting]
                    raise

    async def _write_group(self, group: Sequence[Entry]) -> None:
        try:
            ids = await self._commit(group)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, DatabaseUnavailable):  # it costs only itself
                for entry in group:
                    await self._write_group([entry])
                return
            ids = dict.fromkeys(map(id, group), error)
        for entry in group:
            settle(entry, ids[id(entry)])

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
            for entry in fresh:
                publish(tx, entry)
        return ids


async def named(tx: Transaction[Any], entry: Entry) -> UUID | Exception:
    """The id of the request that an entry stands for; as a value, its error fails no other."""
    if entry.claim is None:
        return entry.command.request_id
    try:
        return await claimed(tx.connection, entry.claim)
    except IdempotencyKeyReused as error:
        return error


def publish(tx: Transaction[Any], entry: Entry) -> None:
    """Send the command once this is committed. An interactive one has the id that it has wherever it is sent."""
    kind = "queue" if isinstance(entry.command, QueueText) else "generate"
    token = CONTEXT.set(entry.context)
    try:
        tx.publish(entry.command, message_id=f"{entry.command.request_id}.{kind}")
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
    plain = ("request_id", "tenant", "key_id", "model", "streamed", "lane", "accepted_at", "deadline")
    columns: dict[str, list[Any]] = {name: [getattr(command, name) for command in commands] for name in plain}
    return columns | {"decisions": [msgspec.json.encode(command.decisions).decode() for command in commands]}
