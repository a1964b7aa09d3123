"""What a lane promises: how many at once, in which order, and who is told of a burial."""

import pytest

from penstock_common.messaging.topology import Consumer
from tests.integration.messaging.rig import Rig, peak, until, until_async
from tests.integration.messaging.shop import (
    ON_PACKED,
    ON_PAID,
    ON_PLACED,
    ON_RETURNED,
    ON_SHIPPED,
    REFUND,
    REFUNDING,
)

pytestmark = pytest.mark.integration

SINGLE = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID], ids=["faststream", "plain"])
ORDERED = pytest.mark.parametrize("lane", [ON_RETURNED, ON_SHIPPED], ids=["faststream", "plain"])


@SINGLE
async def test_as_many_at_once_as_declared(rig: Rig, lane: Consumer) -> None:
    """Eight handlers, never more, never fewer while there is work."""
    await rig.send_many(lane.topic, 40, "sleep:0.2")
    await rig.start()
    await until(lambda: len(rig.seen("done")) == 40)
    assert peak(rig.lines()) == lane.concurrency


async def test_batches_fill_up_under_load(rig: Rig) -> None:
    """What waits is taken together, up to the declared size, and each message once."""
    ids = await rig.send_many(ON_PACKED.topic, 100)
    await rig.start()
    await until(lambda: set(rig.seen("done")) == set(ids))
    sizes = [int(size) for size in rig.seen("batch")]
    assert ON_PACKED.batch
    assert max(sizes) == ON_PACKED.batch.size
    assert sum(sizes) == len(ids)


@ORDERED
async def test_an_ordered_lane_keeps_its_order_through_a_retry(rig: Rig, lane: Consumer) -> None:
    """A failing message holds back those behind it, in two processes as in one."""
    await rig.start()
    await rig.start()
    ids = [await rig.send(lane.topic, "fail:2" if number == 3 else "ok") for number in range(10)]
    await until(lambda: len(rig.seen("done")) == 10)
    assert rig.seen("done") == ids


async def test_the_owner_of_a_buried_command_is_told_once(rig: Rig) -> None:
    """After the last attempt the command's service learns of it."""
    await rig.start()
    id_ = await rig.send(REFUND, "unavailable")
    await until(lambda: rig.seen("mourned") == [id_])
    assert rig.seen("start") == [id_] * REFUNDING.max_attempts
    assert [letter.message_id for letter in await rig.letters(REFUNDING)] == [id_]


async def test_a_death_while_being_told_is_made_up_for(rig: Rig) -> None:
    """The process that was told dies before it could act: the next one is told, and the dead letter keeps its id.

    It dies while its own burial is being acknowledged, which repeats it under the same id.
    """
    first = await rig.start()
    id_ = await rig.send(REFUND, "invalid:kill")
    await until(lambda: first.exitcode is not None)
    await rig.start()
    await until(lambda: id_ in rig.seen("mourned"))
    letters = await rig.letters(REFUNDING)
    assert {letter.message_id for letter in letters} == {id_}
    assert len(letters) <= rig.side.deliveries_of_a_repeat


async def test_an_unreadable_command_is_told_once_and_does_not_go_round(rig: Rig) -> None:
    """A dead letter that its own handler can't read is not buried again."""
    await rig.start()
    await rig.send(REFUND, body=b"nonsense")
    dead_lane = REFUNDING.dead_lane
    assert dead_lane

    async def settled() -> bool:
        return bool(await rig.letters(REFUNDING)) and await rig.side.unsettled(dead_lane) == 0

    await until_async(settled)
    assert len(await rig.letters(REFUNDING)) == 1


async def test_a_repeated_id_is_delivered_once_or_looks_the_same(rig: Rig) -> None:
    """A publisher that saw no confirmation repeats: where the bus stores it twice, the inbox sees one id."""
    await rig.start()
    id_ = await rig.send(ON_PAID.topic)
    await rig.send(ON_PAID.topic, id_=id_)
    last = await rig.send(ON_PAID.topic)
    await until(lambda: last in rig.seen("done"))
    assert rig.seen("done").count(id_) == rig.side.deliveries_of_a_repeat
