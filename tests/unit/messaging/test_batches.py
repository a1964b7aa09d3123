"""How single deliveries become batches."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

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
    """Deliver several at once, and wait until their slots are free."""
    freed = asyncio.Semaphore(0)

    def free(slots: int) -> None:
        for _ in range(slots):
            freed.release()

    for n in range(count):
        batches.take(delivered(n), free)
    for _ in range(count):
        await freed.acquire()


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


async def test_as_many_batches_at_once_as_the_lane_has() -> None:
    """One is gathered at a time, each message is in one, and all slots become free."""
    settler, taken = FakeSettler(), Taken(pause=0.03)
    batches = Batches(Delivery(settler), taken, replace(BATCHED, batches=2))
    await deliver(batches, 14)
    await deliver(batches, 1)
    assert taken.most == 2
    assert [len(batch) for batch in taken.batches] == [4, 4, 4, 2, 1]
    assert sorted(str(word[1]) for word in settler.words) == sorted(["0", *map(str, range(14))])


async def test_batches_side_by_side_are_handed_back_when_there_is_no_more_time() -> None:
    """Both, and what waits for its turn."""
    settler, taken = FakeSettler(), Taken(pause=60)
    delivery = Delivery(settler)
    batches = Batches(delivery, taken, replace(BATCHED, batches=2))
    for n in range(10):
        batches.take(delivered(n), lambda _: None)
    await asyncio.sleep(0.03)
    await delivery.inflight.drain(0.01)
    assert [len(batch) for batch in taken.batches] == [4, 4]
    assert sorted(settler.words) == [("hand back", str(n), 0.0) for n in range(10)]


async def test_what_runs_and_what_waits_is_handed_back_when_there_is_no_more_time() -> None:
    """What runs as what waits; neither is handled twice, and none reaches a handler afterwards."""
    settler, taken = FakeSettler(), Taken(pause=60)
    delivery = Delivery(settler)
    batches = Batches(delivery, taken, BATCHED)
    for n in range(6):
        batches.take(delivered(n), lambda _: None)
    await asyncio.sleep(0.03)
    await delivery.inflight.drain(0.01)
    assert taken.batches == [["0", "1", "2", "3"]]
    assert settler.words == [("hand back", str(n), 0.0) for n in range(6)]


async def test_draining_waits_for_what_waits_for_its_batch() -> None:
    """It is handled, not handed back: there was time."""
    settler, taken = FakeSettler(), Taken()
    delivery = Delivery(settler)
    batches = Batches(delivery, taken, BATCHED)
    for n in range(5):
        batches.take(delivered(n), lambda _: None)
    await delivery.inflight.drain(5)
    assert taken.batches == [["0", "1", "2", "3"], ["4"]]
    assert [word for word, *_ in settler.words] == ["ack"] * 5


async def test_draining_between_two_batches_waits_for_the_next() -> None:
    """What has arrived but fills no batch yet is at work too."""
    settler, taken = FakeSettler(), Taken()
    delivery = Delivery(settler)
    batches = Batches(delivery, taken, BATCHED)
    for n in range(5):
        batches.take(delivered(n), lambda _: None)
    while not taken.batches:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await delivery.inflight.drain(5)
    assert taken.batches == [["0", "1", "2", "3"], ["4"]]


async def test_what_waits_beats() -> None:
    """From its arrival, through its batch, until it is settled."""
    settler, taken = FakeSettler(heartbeat=0.02), Taken(pause=0.05)
    batches = Batches(Delivery(settler), taken, BATCHED)
    await deliver(batches, 5)
    said = list(settler.words)
    await asyncio.sleep(0.05)
    assert said.count(("extend", "4")) >= 3
    assert settler.words == said
