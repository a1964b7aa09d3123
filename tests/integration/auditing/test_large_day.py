"""Days of which too much was said to be compared one by one: what balances is passed over, what does not is named."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from penstock.auditing.statements import FEW
from penstock_common.ids import day_of, uuid7
from penstock_common.topology import GENERATION_COMPLETED
from tests.support.audited import Audited, consumer, named, tally

pytestmark = pytest.mark.integration

BILLING, API = consumer("billing-on-generation-completed"), consumer("api-on-generation-completed")
DAY = timedelta(days=1)
COLUMNS = ("day", "id", "subject", "stream", "message_id", "headers", "body", "created_at", "published_at")


def request_ids(first: datetime, last: datetime) -> list[str]:
    """More than are compared one by one, evenly from one moment to another."""
    step = (last - first) / (FEW + 500)
    return [str(uuid7(int((first + n * step).timestamp() * 1000))) for n in range(FEW + 500)]


async def complete(world: Audited, requests: Sequence[str], lasted: timedelta) -> list[str]:
    """Ends of requests, each said some time after its request was made; gives the messages' ids."""
    rows = []
    for request in requests:
        at = datetime.fromtimestamp((UUID(request).int >> 80) / 1000, UTC) + lasted
        row_id, topic = uuid7(int(at.timestamp() * 1000)), GENERATION_COMPLETED
        rows.append((at.date(), row_id, topic.subject, topic.stream, f"{request}.completed", "{}", b"", at, at))
    await world.connection.copy_records_to_table("outbox", schema_name="inference", columns=COLUMNS, records=rows)
    return [row[4] for row in rows]


async def handle(world: Audited, ids: Sequence[str]) -> None:
    """By both who hear of it."""
    for each in (BILLING, API):
        rows = [(day_of(id_), each.name, id_, "f", datetime.now(UTC)) for id_ in ids]
        await world.connection.copy_records_to_table("inbox", schema_name=each.service, records=rows)


async def test_what_lacks_of_a_large_day_is_named(world: Audited) -> None:
    """In the midst of many, on the day's first and last minute, and of a request that ended on the day after."""
    midnight = datetime.combine(datetime.now(UTC), time(), UTC)
    ids = await complete(world, request_ids(midnight - DAY, midnight - timedelta(seconds=1)), timedelta(seconds=30))
    await handle(world, ids)
    assert (await world.again()).clean
    lost = {ids[0], ids[FEW // 2], ids[-2], ids[-1]}
    assert day_of(ids[-1]) < midnight.date()
    await world.connection.execute("delete from billing.inbox where message_id = any($1::text[])", sorted(lost))
    report = await world.once()
    assert named(report) == {(BILLING.name, id_) for id_ in lost}
    counted = tally(report, BILLING)
    assert (counted.published, counted.done, counted.missing) == (len(ids), len(ids) - len(lost), len(lost))
    assert tally(report, API).missing == 0


async def test_what_nobody_said_is_found_on_a_large_day(world: Audited) -> None:
    """One of them is handled that nobody said, one was said twice, one lies under another day as well."""
    midnight = datetime.combine(datetime.now(UTC), time(), UTC)
    ids = await complete(world, request_ids(midnight - DAY, midnight - timedelta(minutes=1)), timedelta(seconds=30))
    await handle(world, ids)
    await complete(world, [ids[7].partition(".")[0]], timedelta(minutes=1))
    (odd,) = await complete(world, [str(uuid7(int((midnight - DAY).timestamp() * 1000)))], timedelta(seconds=1))
    await handle(world, [odd])
    await world.connection.execute("delete from inference.outbox where message_id = $1", odd)
    again = (midnight.date(), BILLING.name, ids[9], "f", midnight)
    await world.connection.copy_records_to_table("inbox", schema_name="billing", records=[again])
    report = await world.once()
    assert {(each.consumer, each.message_id) for each in report.unsaid} == {(BILLING.name, odd), (API.name, odd)}
    assert {each.message_id for each in report.twice} == {ids[7], ids[9]}
    assert not named(report)
