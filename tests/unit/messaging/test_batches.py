"""How single deliveries become batches."""

import asyncio
from collections.abc import Sequence

import pytest

from penstock_common.messaging.batches import Batches
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.ports import Incoming
from tests.unit.messaging.fakes import BATCHED, FakeSettler, delivered


class Taken:
    """A batch handler that remembers, and takes its time."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.batches: list[list[str]] = []
        self.running = self.most = 0

    async def __call__(self, messages: Sequence[Incoming]) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.batches.append([message.message_id for message in messages])
        await asyncio.sleep(self.pause)
        self.running -= 1


async def deliver(batches: Batches, count: int) -> None:
    """Deliver several at once, and wait until they are settled."""
    await asyncio.gather(*(batches.deliver(delivered(n)) for n in range(count)))


async def test_a_full_batch_does_not_wait() -> None:
    """Size ends the waiting."""
    taken = Taken()
    batches = Batches(Delivery(FakeSettler()), taken, BATCHED)
    async with asyncio.timeout(0.015):
        await deliver(batches, 4)
    assert taken.batches == [["0", "1", "2", "3"]]


async def test_what_came_in_time_is_taken_together() -> None:
    """Time ends the waiting of an incomplete one."""
    taken = Taken()
    await deliver(Batches(Delivery(FakeSettler()), taken, BATCHED), 3)
    assert taken.batches == [["0", "1", "2"]]


async def test_one_batch_at_a_time_and_each_message_once() -> None:
    """What arrives meanwhile makes the next."""
    settler, taken = FakeSettler(), Taken(pause=0.005)
    batches = Batches(Delivery(settler), taken, BATCHED)
    await deliver(batches, 10)
    await deliver(batches, 1)
    assert taken.most == 1
    assert [len(batch) for batch in taken.batches] == [4, 4, 2, 1]
    assert len(settler.words) == 11


async def test_a_message_cancelled_while_it_waits_is_handed_back() -> None:
    """It reaches no handler, and its batch goes on."""
    settler, taken = FakeSettler(), Taken()
    batches = Batches(Delivery(settler), taken, BATCHED)
    waiting = [asyncio.create_task(batches.deliver(delivered(n))) for n in range(2)]
    await asyncio.sleep(0.005)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    await waiting[1]
    assert taken.batches == [["1"]]
    assert settler.words == [("hand back", "0", 0.0), ("ack", "1")]
