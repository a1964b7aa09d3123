"""The inbox: handled once, in the transaction of the effect."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from penstock_common.contracts.keys import KeyCreated
from penstock_common.db.tables import ensure_partitions
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import FINGERPRINT, opened
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Batch, Consumer
from penstock_common.topology import KEY_CREATED
from tests.support.deliveries import MemorySettler, delivered

pytestmark = pytest.mark.integration

LANE = Consumer("trial", "on_key_created", KEY_CREATED, batch=Batch())


def a_key(at_ms: int | None = None) -> Incoming:
    """A message whose id was made at a Unix time in milliseconds, or now."""
    id_ = uuid7(at_ms)
    return delivered(KeyCreated(key_id=id_, tenant=uuid7(), version=1), str(id_))


async def handle(database: Database, *messages: Incoming) -> MemorySettler:
    """Deliver messages in one batch to a handler whose effect is one row each."""
    settler = MemorySettler()

    async def call(given: Sequence[Incoming]) -> None:
        events = [opened(m, KeyCreated) for m in given]
        async with database.transaction(events) as tx:
            for event in tx.fresh:
                row = {"message": str(event.key_id)}
                await tx.connection.execute(text("insert into trial.effects values (:message)"), row)

    await Delivery(settler).run_batch(call, messages, LANE)
    return settler


async def fetch(database: Database, statement: str) -> list[Any]:
    """The first column."""
    async with database.reading() as connection:
        return list(await connection.scalars(text(statement)))


async def effects(database: Database) -> list[str]:
    """What handlers did."""
    return await fetch(database, "select message from trial.effects order by message")


async def test_delivered_twice_takes_effect_once(database: Database) -> None:
    """In two deliveries, and within one batch; all are acknowledged."""
    message, other = a_key(), a_key()
    await handle(database, message)
    settler = await handle(database, message, other, other)
    assert await effects(database) == sorted((message.message_id, other.message_id))
    assert settler.acked == [message.message_id, other.message_id, other.message_id]


async def test_another_content_under_a_known_id_is_refused(database: Database) -> None:
    """It is buried for someone to look at, not dropped; its neighbour is handled."""
    message, neighbour = a_key(), a_key()
    await handle(database, message)
    message.headers = {**message.headers, FINGERPRINT: "0" * 16}
    settler = await handle(database, message, neighbour)
    assert "another content" in settler.buried[message.message_id]
    assert await effects(database) == sorted((message.message_id, neighbour.message_id))


async def test_two_contents_under_one_id_in_one_batch(database: Database) -> None:
    """The first one counts."""
    message = a_key()
    twin = delivered(KeyCreated(key_id=uuid7(), tenant=uuid7(), version=2), message.message_id)
    settler = await handle(database, message, twin)
    assert settler.acked == [message.message_id]
    assert list(settler.buried) == [message.message_id]
    assert await effects(database) == [message.message_id]


@pytest.mark.parametrize(
    "message_id", ["", "42", str(UUID(int=1 << 76 | 4 << 76)), "not-a-uuid-but-as-long-as-one-is-xx"]
)
async def test_an_id_without_a_time_is_refused(database: Database, message_id: str) -> None:
    """Its partition could not be told at a redelivery."""
    message = a_key()
    message.message_id = message_id
    settler = await handle(database, message)
    assert "does not begin with a uuid7" in settler.buried[message_id]
    assert await effects(database) == []


async def test_a_redelivery_after_midnight_is_known(database: Database) -> None:
    """The day is that of the id, so both deliveries meet in one partition, whenever they come."""
    async with database.engine.begin() as connection:
        await ensure_partitions(connection, "trial", datetime.now(UTC).date())
    yesterday = datetime.now(UTC) - timedelta(days=1)
    message = a_key(int(yesterday.timestamp() * 1000))
    await handle(database, message)
    await handle(database, message)
    assert await effects(database) == [message.message_id]
    (partition,) = await fetch(database, "select tableoid::regclass::text from trial.inbox")
    assert partition == f"trial.inbox_{yesterday:%Y%m%d}"


async def test_ids_of_any_day_find_a_partition(database: Database) -> None:
    """What is older or newer than the partitions goes to the default one."""
    ancient, future = a_key(0), a_key(4_000_000_000_000)
    await handle(database, ancient, future)
    await handle(database, ancient, future)
    assert await effects(database) == [ancient.message_id, future.message_id]


async def test_two_processes_handle_a_message_once(database: Database, trial_url: str) -> None:
    """The second waits for the first, and finds the message handled."""
    messages = [a_key() for _ in range(20)]
    other = Database(trial_url, "trial", database.topology)
    try:
        for _ in range(5):
            await handle(database, *messages)
            await handle(other, *reversed(messages))
    finally:
        await other.close()
    assert await effects(database) == sorted(m.message_id for m in messages)


async def test_a_failed_handler_leaves_no_inbox_row(database: Database) -> None:
    """The redelivery is handled as if nothing had been."""
    message = a_key()

    async def call(given: Sequence[Incoming]) -> None:
        async with database.transaction([opened(m, KeyCreated) for m in given]):
            raise RuntimeError("a bug")

    await Delivery(MemorySettler()).run_batch(call, [message], LANE)
    await handle(database, message)
    assert await effects(database) == [message.message_id]
