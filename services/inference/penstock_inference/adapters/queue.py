"""The queue of all processes, in PostgreSQL."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision, Wire, decode, encode
from penstock_common.contracts.generation import About, CancelGeneration, GenerateText
from penstock_common.contracts.queueing import HIGHEST, BatchText, QueueText
from penstock_common.db.transaction import Database, Transaction
from penstock_common.errors import ContractViolated
from penstock_common.messaging.envelope import CONTEXT, Context, inherited
from penstock_inference.adapters.queue_statements import (
    BALANCE,
    DISPATCH,
    DUE,
    ENDED,
    INSERT,
    LOCK,
    LOOK,
    NEXT,
    OVERDUE,
    REMOVE,
    SETTLE,
    SHARES,
    STOP,
    STOPPED,
)
from penstock_inference.domain.queue import Limits, Pace, Share, Turns, turns
from penstock_inference.generating.ports import Stops
from penstock_inference.queueing import metrics
from penstock_inference.queueing.ports import Due, Sent, State

MOST = 64
"""Requests that are ended together: each is held whole in memory meanwhile."""
MOST_SENT = 64
"""The same for those that are sent together."""
OVERDUE_AFTER = timedelta(seconds=120)
"""Beyond its deadline: whoever ran it would have ended it."""


class Kept(msgspec.Struct, frozen=True):
    """What is told of a request while it waits."""

    about: About
    decisions: list[Decision]


@dataclass(frozen=True, slots=True)
class QueueTable:
    """Implements `Queue`, and takes what comes to be queued."""

    database: Database
    clock: Clock
    limits: Limits

    async def take(self, tx: Transaction[QueueText]) -> None:
        """Queue what is fresh of the messages of a transaction; what there is no room for is marked to be refused."""
        connection, commands = tx.connection, tx.fresh
        await connection.execute(LOCK)
        ids = {"ids": [command.request_id for command in commands]}
        stopped = set(await connection.scalars(STOPPED, ids))
        waiting = Counter({share.tenant: share.waiting for share in await shares(connection)})
        rows = []
        for command in commands:
            verdict = "stopped" if command.request_id in stopped else ""
            if not verdict and not self.limits.room(waiting[command.tenant], waiting.total()):
                verdict = "full"
            waiting[command.tenant] += verdict != "full"
            row = row_of(command, verdict, inherited(tx.causes[id(command)]))
            rows.append(row | {"weight": float(self.limits.weight(command.tier))})
        await connection.execute(INSERT, {name: [row[name] for row in rows] for name in rows[0]})
        metrics.QUEUED.labels("queued").inc(len(rows))

    async def state(self) -> State:
        """See `Queue`."""
        now = self.clock.now()
        async with self.database.driver() as driver:
            (found,) = await driver.fetch(LOOK, now, now - OVERDUE_AFTER)
        return State(*found)

    async def due(self) -> list[Due]:
        """See `Queue`."""
        async with self.database.reading() as connection:
            found = await connection.execute(DUE, {"now": self.clock.now(), "most": MOST})
        return [Due(command_of(row.command), row.verdict, context_of(row.context)) for row in found]

    async def remove(self, request_ids: list[UUID]) -> None:
        """See `Queue`."""
        async with self.database.transaction() as tx:
            await tx.connection.execute(LOCK)
            await tx.connection.execute(REMOVE, {"ids": request_ids})

    async def overdue(self) -> list[GenerateText]:
        """See `Queue`."""
        async with self.database.reading() as connection:
            given = {"before": self.clock.now() - OVERDUE_AFTER, "most": MOST}
            return [command_of(command) for command in await connection.scalars(OVERDUE, given)]

    async def dispatch(self, slots: int) -> Sent:
        """See `Queue`."""
        async with self.database.transaction() as tx:
            connection, now = tx.connection, self.clock.now()
            await connection.execute(LOCK)
            over = (await connection.execute(ENDED)).rowcount
            balance = (await connection.execute(BALANCE)).one()
            free = max(0, min(slots - balance.running, MOST_SENT))
            known, ready = await self._next(connection, free)
            chosen, taken = choose(known, ready, balance.virtual, free)
            served = await self._send(tx, chosen) if chosen else Counter[UUID]()
            if over or chosen:
                pace = Pace(balance.ended, balance.since, balance.measured_at).after(over, now)
                await connection.execute(SETTLE, turns_of(taken, served) | {"virtual": taken.virtual} | asdict(pace))
        sent = served.total()
        waiting = sum(share.waiting for share in known) - sent
        return Sent(over, sent, balance.running + sent, waiting, may_send_more=len(chosen) == MOST_SENT)

    async def _next(self, connection: AsyncConnection, free: int) -> tuple[list[Share], dict[UUID, list[UUID]]]:
        """What each tenant has of the queue, and its requests that could go, in their order."""
        known: dict[UUID, Share] = {}
        ready: dict[UUID, list[UUID]] = defaultdict(list)
        for *share, request_id in await connection.execute(NEXT, {"now": self.clock.now(), "free": free}):
            known[share[0]] = Share(*share)
            if request_id:
                ready[share[0]].append(request_id)
        return list(known.values()), ready

    async def _send(self, tx: Transaction[Any], chosen: list[UUID]) -> Counter[UUID]:
        """Mark requests as sent, and publish them once that is committed; gives how many of each tenant.

        One that was stopped just now stays.
        """
        now = self.clock.now()
        rows = {row.request_id: row for row in await tx.connection.execute(DISPATCH, {"ids": chosen, "now": now})}
        for row in (rows[request_id] for request_id in chosen if request_id in rows):
            publish_turn(tx, command_of(row.command), context_of(row.context), now)
        return Counter(row.tenant for row in rows.values())


@dataclass(frozen=True, slots=True)
class QueueStops:
    """Implements `Stops`: what waits is marked too, and ends without a turn."""

    stops: Stops

    async def mark(self, connection: AsyncConnection, cancel: CancelGeneration) -> None:
        """Remember a stop, in the caller's transaction."""
        await self.stops.mark(connection, cancel)
        await connection.execute(STOP, {"id": cancel.request_id})


async def shares(connection: AsyncConnection) -> list[Share]:
    """What each tenant has of the queue."""
    return [Share(*row) for row in await connection.execute(SHARES)]


def choose(
    known: Sequence[Share], ready: Mapping[UUID, Sequence[UUID]], virtual: float, free: int
) -> tuple[list[UUID], Turns]:
    """The requests of the next `free` turns, in order, of those that are ready."""
    able = [replace(share, waiting=len(ready.get(share.tenant, ()))) for share in known]
    taken = turns(able, virtual, free)
    following = {tenant: iter(requests) for tenant, requests in ready.items()}
    return [next(following[tenant]) for tenant in taken.order], taken


def turns_of(taken: Turns, served: Counter[UUID]) -> dict[str, Any]:
    """Who took how many turns, one array a column."""
    tenants = list(taken.finishes)
    return {
        "tenant": tenants,
        "many": [served[tenant] for tenant in tenants],
        "finish": list(taken.finishes.values()),
    }


def publish_turn(tx: Transaction[Any], command: QueueText, context: Context, now: datetime) -> None:
    """Send a request on, as part of the trace that it came with."""
    waited = max((now - command.accepted_at).total_seconds(), 0.0)
    metrics.WAITED.observe(waited)
    token = CONTEXT.set(context)
    try:
        tx.publish(turn_of(command, now, waited), message_id=f"{command.request_id}.batch")
    finally:
        CONTEXT.reset(token)


def turn_of(command: QueueText, now: datetime, waited: float) -> BatchText:
    """The command that carries a queued request out."""
    given = msgspec.structs.asdict(command)
    del given["priority"]
    decisions = [*command.decisions, Decision("queue", "dispatched", f"waited {waited:.3f} s")]
    return BatchText(**given | {"sent_at": now, "decisions": decisions})


def row_of(command: QueueText, verdict: str, context: Context) -> dict[str, Any]:
    """The columns of a queued request. Raises ContractViolated for a priority that there is not."""
    if not 0 <= command.priority <= HIGHEST:
        raise ContractViolated(f"priority {command.priority} is not one of 0 to {HIGHEST}")
    kept = Kept(About.of(command), command.decisions)
    return {
        "request_id": command.request_id,
        "tenant": command.tenant,
        "priority": command.priority,
        "deadline": command.deadline,
        "verdict": verdict,
        "about": msgspec.msgpack.encode(kept),
        "command": encode(command, Wire.MSGPACK),
        "context": msgspec.msgpack.encode(context),
    }


def command_of(kept: bytes) -> QueueText:
    """A command from its row."""
    return decode(QueueText, bytes(kept), Wire.MSGPACK)


def context_of(kept: bytes) -> Context:
    """What a queued request's messages carry."""
    return msgspec.msgpack.decode(bytes(kept), type=Context)
