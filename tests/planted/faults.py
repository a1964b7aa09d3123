"""The faults. Each is planted into a process of its own, before anything of it runs."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import msgspec

from penstock_billing import subscribers
from penstock_billing.domain import charge
from penstock_common.db import inbox, relay
from penstock_common.db.relay import Relay
from penstock_common.ids import uuid7
from penstock_common.messaging import addressing
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.nats.settler import NatsSettler
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Consumer
from penstock_inference.adapters import end_writer, statements
from penstock_scheduler.adapters import claims

FENCE = " and r.attempt <= excluded.attempt"
RUNNING = "where r.outcome = 'running'\nreturning attempt"
UNPUBLISHED = "where published_at is null"
BEHIND = """where id > coalesce((
    select id from {schema}.outbox where published_at is not null order by id desc limit 1
), '00000000-0000-0000-0000-000000000000') and published_at is null"""


def relay_follows_a_cursor() -> None:
    """It goes on after the newest row that it published: one that commits late is behind it for ever."""
    assert UNPUBLISHED in relay.CLAIM
    relay.SQL = (relay.CLAIM.replace(UNPUBLISHED, BEHIND), relay.MARK, relay.DEFER)


def relay_marks_before_the_confirm() -> None:
    """What left is published, whatever the bus says of it."""
    publish = Relay._publish

    async def published(self: Relay, rows: dict[Any, Outgoing]) -> Any:
        done, refused = await publish(self, rows)
        return [*done, *refused], []

    Relay._publish = published  # type: ignore[method-assign]


async def end_early(connection: Any) -> None:
    """Commit what a transaction did so far; the rest becomes another one."""
    await connection.exec_driver_sql("commit")
    await connection.exec_driver_sql("begin")


def inbox_commits_by_itself() -> None:
    """A message counts as handled before it was."""
    insert = inbox.insert

    async def inserted(connection: Any, schema: str, messages: Sequence[Incoming]) -> set[int]:
        found = await insert(connection, schema, messages)
        await end_early(connection)
        return found

    inbox.insert = inserted


def inbox_day_is_today() -> None:
    """A message's partition depends on when it comes. Here each delivery comes a day after the one before."""
    days = itertools.count()
    inbox.day = lambda message_id: date(2026, 11, 21) + timedelta(days=next(days))


def ack_comes_before_the_commit() -> None:
    """A delivery is acknowledged, then handled."""
    call = Delivery._call

    async def acked(self: Delivery, handler: Any, given: Any, messages: Sequence[Incoming], lane: Consumer) -> None:
        await self._ack(messages, lane)
        await call(self, handler, given, messages, lane)

    Delivery._call = acked  # type: ignore[method-assign, assignment]


def failed_batch_is_dropped() -> None:
    """One message of a batch fails, and with it go the others."""
    together = Delivery._together

    async def dropped(self: Delivery, call: Any, messages: Sequence[Incoming], lane: Consumer) -> Any:
        left = await together(self, call, messages, lane)
        return left if len(messages) == 1 else ()

    Delivery._together = dropped  # type: ignore[method-assign]


def retry_changes_the_id() -> None:
    """What is said again is a new message for the inbox."""
    addressed = addressing.addressed

    def renamed(message: Outgoing, lane: Consumer, act_id: str) -> Outgoing:
        return addressed(replace(message, headers={**message.headers, MESSAGE_ID: str(uuid7())}), lane, act_id)

    addressing.addressed = renamed


def dead_letter_is_lost() -> None:
    """What can't be handled is acknowledged, and lies nowhere."""

    async def lost(self: NatsSettler, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        await self.ack(message)

    NatsSettler.bury = lost  # type: ignore[method-assign]


def posting_is_doubled() -> None:
    """The books' key is that of the message, not that of the request."""
    charge.usage_key = lambda request_id: f"{request_id}/{uuid7()}/usage"


def estimate_replaces_a_cost() -> None:
    """The last word about an attempt counts, whatever it is."""
    corrected = charge.correction

    def replaced(entry: Any, known: Any) -> Any:
        estimated = msgspec.structs.replace(known, measure="estimated")
        sure = msgspec.structs.replace(entry, tokens=msgspec.structs.replace(entry.tokens, measure="measured"))
        return corrected(sure, estimated)

    subscribers.correction = replaced  # type: ignore[attr-defined]


def end_without_a_fence() -> None:
    """Any attempt ends a request, also one that was replaced."""
    for name in ("FINISH", "FINISH_ONE"):
        statement = getattr(statements, name)
        assert FENCE in statement
        setattr(end_writer, name, statement.replace(FENCE, ""))


def claim_reopens_an_end() -> None:
    """A request that has ended is taken over."""
    assert RUNNING in statements.CLAIM.text
    statements.CLAIM.text = statements.CLAIM.text.replace(RUNNING, "returning attempt")


def tick_commits_apart_from_its_order() -> None:
    """The tick is there, and its run may never be ordered."""
    carry_out = claims.SqlClaim.carry_out

    async def apart(self: claims.SqlClaim, schedule: Any, plan: Any) -> int:
        written = await carry_out(self, schedule, plan)
        await end_early(self.tx.connection)
        return written

    claims.SqlClaim.carry_out = apart  # type: ignore[method-assign]


@dataclass(frozen=True)
class Fault:
    """A fault, and the checker that sees it."""

    plant: Callable[[], None]
    checker: str


FAULTS = (
    Fault(relay_follows_a_cursor, "outbox"),
    Fault(relay_marks_before_the_confirm, "outbox"),
    Fault(inbox_commits_by_itself, "outbox"),
    Fault(inbox_day_is_today, "outbox"),
    Fault(ack_comes_before_the_commit, "outbox"),
    Fault(retry_changes_the_id, "outbox"),
    Fault(failed_batch_is_dropped, "ledger"),
    Fault(posting_is_doubled, "ledger"),
    Fault(estimate_replaces_a_cost, "ledger"),
    Fault(end_without_a_fence, "take-over"),
    Fault(claim_reopens_an_end, "take-over"),
    Fault(tick_commits_apart_from_its_order, "ticks"),
    Fault(dead_letter_is_lost, "dead letters"),
)
