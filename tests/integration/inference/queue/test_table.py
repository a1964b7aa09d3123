"""The queue's table under several processes: no slot given twice, none lost, turns in their order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import text

from penstock_common.contracts.generation import CancelGeneration
from penstock_common.contracts.queueing import BATCH, QueueText
from penstock_common.db.transaction import Database
from penstock_common.errors import ContractViolated
from penstock_common.ids import uuid7
from penstock_common.messaging.ports import Incoming
from penstock_common.sealing import Sealer
from penstock_common.topology import PLATFORM
from penstock_inference.adapters.generations import Cancellations
from penstock_inference.adapters.queue import QueueStops, QueueTable
from penstock_inference.adapters.queue_answers import QueueAnswers
from penstock_inference.adapters.queue_statements import ENDED, LOCK
from penstock_inference.domain.queue import Limits
from tests.support.databases import Databases
from tests.support.generation_fakes import MovedClock, a_command, a_sealer
from tests.support.submitting import rows

pytestmark = pytest.mark.integration

LIMITS = Limits(tenant=100, total=200, enterprise_weight=4)
RUN = """
insert into inference.generations (request_id, attempt, outcome, tenant, key_id, model, streamed, lane, accepted_at,
                                   deadline) values ($1, 2, 'running', $1, $1, 'm', false, 'batch', now(), now())
returning 1
"""
END = "update inference.generations set outcome = 'succeeded' where request_id = $1 returning 1"
SENT = "select message_id from inference.outbox order by id"


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """Keys of the test's own."""
    return a_sealer(tmp_path / "keys")


@asynccontextmanager
async def a_table(databases: Databases) -> AsyncIterator[tuple[QueueTable, MovedClock]]:
    """As a process of its own has it."""
    database, clock = Database(databases.services["inference"], "inference", PLATFORM), MovedClock()
    yield QueueTable(database, clock, LIMITS), clock
    await database.close()


@pytest.fixture
async def table(platform_databases: Databases) -> AsyncIterator[QueueTable]:
    """One process's."""
    async with a_table(platform_databases) as (table, _):
        yield table


def queued(sealer: Sealer, tenant: UUID, count: int, *, tier: str = "standard", left: float = 60.0) -> list[QueueText]:
    """Requests of one tenant, the oldest first."""
    some = [a_command(sealer, tenant=tenant, tier=tier, lane=BATCH, left=left) for _ in range(count)]
    return sorted((QueueText(**msgspec.structs.asdict(each)) for each in some), key=lambda each: each.request_id)


async def take(table: QueueTable, commands: Sequence[QueueText], **headers: str) -> None:
    """Queue them in one transaction, as their handler does; `headers` are those of their messages."""
    causes = {id(c): Incoming("", f"{c.request_id}.queue", headers, b"", None) for c in commands}
    async with table.database.transaction() as tx:
        delivered: Any = replace(tx, fresh=commands, causes=causes)
        await table.take(delivered)


async def test_ended_turns_are_found_by_index(table: QueueTable) -> None:
    """Also where the plan was made before there were rows: it is used for as long as the connection lives."""
    async with table.database.transaction() as tx:
        await tx.connection.execute(LOCK)
        plan = "\n".join(await tx.connection.scalars(text(f"explain {ENDED.text}")))
    assert "generations_pkey" in plan
    assert "Seq Scan on generations" not in plan
    assert "Seq Scan on queue " not in plan


@pytest.mark.parametrize("priority", [-1, 10])
async def test_a_priority_that_there_is_not_is_refused(table: QueueTable, sealer: Sealer, priority: int) -> None:
    """For good: no later attempt could keep it."""
    (command,) = queued(sealer, uuid7(), 1)
    with pytest.raises(ContractViolated, match="0 to 9"):
        await take(table, [msgspec.structs.replace(command, priority=priority)])


async def test_no_slot_is_given_twice(platform_databases: Databases, table: QueueTable, sealer: Sealer) -> None:
    """Two processes that look at the same time send as many together as there are slots, each once."""
    commands = queued(sealer, uuid7(), 10)
    await take(table, commands)
    async with a_table(platform_databases) as (other, _):
        sent = await asyncio.gather(*(each.dispatch(4) for each in (table, other, table, other)))
    assert sum(each.dispatched for each in sent) == 4
    assert sorted(await rows(platform_databases, SENT)) == [f"{command.request_id}.batch" for command in commands[:4]]


async def test_a_slot_is_free_when_the_end_is_recorded(
    platform_databases: Databases, table: QueueTable, sealer: Sealer
) -> None:
    """Not while a row says that somebody is at it."""
    first, second = queued(sealer, uuid7(), 2)
    await take(table, [first, second])
    assert (await table.dispatch(1)).dispatched == 1
    await rows(platform_databases, RUN, first.request_id)
    assert (await table.dispatch(1)).dispatched == 0
    await rows(platform_databases, END, first.request_id)
    sent = await table.dispatch(1)
    assert (sent.ended, sent.dispatched, sent.running, sent.waiting) == (1, 1, 1, 0)


async def test_what_was_stopped_has_no_turn(platform_databases: Databases, table: QueueTable, sealer: Sealer) -> None:
    """Marked before it came or while it waits; its place in the counts goes with it."""
    early, late, other = queued(sealer, uuid7(), 3)
    stops = QueueStops(Cancellations())
    for command, others in ((early, []), (late, [early, late, other])):
        await take(table, others) if others else None
        async with table.database.transaction() as tx:
            await stops.mark(
                tx.connection, CancelGeneration(request_id=command.request_id, tenant=command.tenant, reason="x")
            )
    due = await table.due()
    assert {(each.command.request_id, each.verdict) for each in due} == {
        (early.request_id, "stopped"),
        (late.request_id, "stopped"),
    }
    assert (await table.dispatch(5)).dispatched == 1
    assert await rows(platform_databases, SENT) == [f"{other.request_id}.batch"]
    await table.remove([each.command.request_id for each in due])
    assert await rows(platform_databases, "select sum(waiting) from inference.queue_tenants") == [0]


async def test_what_is_past_its_deadline_has_no_turn(platform_databases: Databases, sealer: Sealer) -> None:
    """It is due to end; whose turn should be over long ago is told to be overdue, and nothing else is."""
    async with a_table(platform_databases) as (table, clock):
        sent, late = queued(sealer, uuid7(), 2)
        await take(table, [sent])
        await table.dispatch(1)
        await take(table, [late])
        clock.ahead = 61
        assert [each.command.request_id for each in await table.due()] == [late.request_id]
        assert (await table.dispatch(5)).dispatched == 0
        assert await table.overdue() == []
        clock.ahead = 60 + 121
        assert [command.request_id for command in await table.overdue()] == [sent.request_id]


async def test_tenants_take_turns_by_their_weight(
    platform_databases: Databases, table: QueueTable, sealer: Sealer
) -> None:
    """One of the tier `enterprise` goes four times as often; one that comes later goes next."""
    many, enterprise, new = (uuid7() for _ in range(3))
    await take(table, queued(sealer, many, 20) + queued(sealer, enterprise, 20, tier="enterprise"))
    for slots in range(1, 11):
        await table.dispatch(slots)
    served = "select tenant from inference.queue where dispatched_at is not null"
    assert Counter(await rows(platform_databases, served)) == {many: 2, enterprise: 8}
    (last,) = queued(sealer, new, 1)
    await take(table, [last])
    await table.dispatch(11)
    assert (await rows(platform_databases, SENT))[-1] == f"{last.request_id}.batch"


async def test_a_turn_is_part_of_the_trace_that_it_came_with(
    platform_databases: Databases, table: QueueTable, sealer: Sealer
) -> None:
    """Its message carries on what the queued one carried, however long it waited."""
    (command,) = queued(sealer, uuid7(), 1)
    trace = f"00-{uuid7().hex}-00f067aa0ba902b7-01"
    await take(table, [command], traceparent=trace)
    await table.dispatch(1)
    kept = "select headers ->> $1 from inference.outbox"
    assert await rows(platform_databases, kept, "traceparent") == [trace]
    assert await rows(platform_databases, kept, "penstock-tenant") == [str(command.tenant)]
    assert await rows(platform_databases, kept, "penstock-correlation") == [str(command.request_id)]


async def test_the_place_and_the_wait_are_told(platform_databases: Databases, sealer: Sealer) -> None:
    """By the pace at which turns end: one a second."""
    async with a_table(platform_databases) as (table, clock):
        commands = queued(sealer, uuid7(), 30, left=600)
        await take(table, commands)
        for number in range(5):
            clock.ahead = float(number)
            await table.dispatch(1)
            await rows(platform_databases, RUN, commands[number].request_id)
            await rows(platform_databases, END, commands[number].request_id)
        answers = QueueAnswers(None, table.database, clock, LIMITS)  # type: ignore[arg-type]
        told = await answers.find(commands[14].request_id)
        assert told
        assert (told.outcome, told.position) == ("queued", 10)
        assert told.expected_wait_seconds == pytest.approx(10, rel=0.4)
        assert await answers.find(commands[0].request_id) is None
