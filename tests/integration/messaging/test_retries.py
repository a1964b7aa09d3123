"""What becomes of a message whose handler fails."""

from itertools import pairwise

import pytest

from penstock_common.messaging.topology import Consumer
from tests.integration.messaging.rig import Rig, until, until_async
from tests.integration.messaging.shop import ON_PACKED, ON_PAID, ON_PLACED

pytestmark = pytest.mark.integration

SINGLE = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID], ids=["faststream", "plain"])
EVERY = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID, ON_PACKED], ids=["faststream", "plain", "batch"])
UNREADABLE = [b'{"nonsense', b'{"do": 3}', b"\xff\xfe", b"", b"[" * 10_000]


@EVERY
async def test_unavailable_is_retried_with_growing_pauses_then_buried_with_its_story(rig: Rig, lane: Consumer) -> None:
    """Three attempts, growing pauses with jitter; then headers, history and the body byte for byte."""
    process = await rig.start()
    body = b'{ "id":"u1",  "do":"unavailable", "unknown": [1] }'
    id_ = await rig.send(lane.topic, body=body)
    [letter] = await rig.letters(lane, within=15)
    gaps = [later - earlier for earlier, later in pairwise(rig.times("start", "u1"))]
    assert all(0.45 * pause <= gap < pause + 1.5 for pause, gap in zip(lane.backoff, gaps, strict=True))
    assert (letter.message_id, letter.body, letter.attempts) == (id_, body, lane.max_attempts)
    assert (letter.consumer, letter.subject) == (lane.name, lane.topic.subject)
    assert "BusUnavailable: no stock today" in letter.reason
    assert 0 < (letter.last_failed_at - letter.first_failed_at).total_seconds() < 10
    assert letter.headers["ce-type"] == f"penstock.{lane.topic.subject}"
    told = [(attempt.number, attempt.process.rpartition(":")[2], attempt.code) for attempt in letter.story]
    assert told == [(n, str(process.pid), "common.bus_unavailable") for n in (1, 2, 3)]
    assert letter.code == "common.bus_unavailable"
    assert [attempt.at for attempt in letter.story] == sorted(attempt.at for attempt in letter.story)


@EVERY
async def test_invalid_is_buried_at_once(rig: Rig, lane: Consumer) -> None:
    """What can never succeed is not tried again."""
    await rig.start()
    await rig.send(lane.topic, "invalid")
    [letter] = await rig.letters(lane, within=5)
    assert letter.attempts == 1
    assert letter.reason == "ContractViolated: no such customer"
    assert await rig.side.unsettled(lane) == 0


@EVERY
async def test_an_unreadable_body_is_buried_at_once(rig: Rig, lane: Consumer) -> None:
    """Bytes that fit no contract reach no handler, and stay as they are."""
    await rig.start()
    for body in UNREADABLE:
        await rig.send(lane.topic, body=body)

    async def all_buried() -> bool:
        return len(await rig.letters(lane)) == len(UNREADABLE)

    await until_async(all_buried)
    letters = await rig.letters(lane)
    assert sorted(letter.body for letter in letters) == sorted(UNREADABLE)
    assert {letter.attempts for letter in letters} == {1}
    assert rig.seen("start") == []


@SINGLE
async def test_a_bug_is_tried_again_then_buried_never_lost(rig: Rig, lane: Consumer) -> None:
    """An unknown exception counts as passing; FastStream would reject, and lose, the message."""
    await rig.start()
    id_ = await rig.send(lane.topic, "bug")
    [letter] = await rig.letters(lane, within=15)
    assert rig.seen("start").count(id_) == lane.max_attempts
    assert letter.reason == "KeyError: 'bug'"


@EVERY
async def test_what_fails_at_first_succeeds_later(rig: Rig, lane: Consumer) -> None:
    """A dependency that comes back costs nothing but time."""
    await rig.start()
    id_ = await rig.send(lane.topic, "fail:2")
    await until(lambda: id_ in rig.seen("done"))
    assert await rig.letters(lane) == []
    assert await rig.side.unsettled(lane) == 0


@EVERY
async def test_handing_back_costs_no_attempt(rig: Rig, lane: Consumer) -> None:
    """More hand-backs than a bus delivers one message by itself, and then it is handled."""
    await rig.start()
    id_ = await rig.send(lane.topic, f"handback:{lane.server_limit + 3}")
    await until(lambda: id_ in rig.seen("done"), 30)
    assert await rig.letters(lane) == []


async def test_one_bad_message_costs_a_batch_only_itself(rig: Rig) -> None:
    """A failing batch is repeated one by one: the others are handled, the bad one is buried alone."""
    good = await rig.send_many(ON_PACKED.topic, 6)
    bad = await rig.send(ON_PACKED.topic, "invalid")
    good += await rig.send_many(ON_PACKED.topic, 6)
    await rig.start()
    [letter] = await rig.letters(ON_PACKED, within=10)
    await until(lambda: set(rig.seen("done")) == set(good))
    assert letter.message_id == bad
    assert max(int(size) for size in rig.seen("batch")) > 1
