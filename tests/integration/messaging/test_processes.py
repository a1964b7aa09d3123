"""Processes that are slow, die, freeze or are told to stop."""

import asyncio
import signal

import pytest

from penstock_common.messaging.topology import Consumer
from tests.integration.messaging.rig import Rig, ended, signal_to, until
from tests.integration.messaging.shop import ON_PACKED, ON_PAID, ON_PLACED

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

SINGLE = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID], ids=["faststream", "plain"])
EVERY = pytest.mark.parametrize("lane", [ON_PLACED, ON_PAID, ON_PACKED], ids=["faststream", "plain", "batch"])


async def test_a_slow_handler_is_left_alone_while_it_lives(rig: Rig) -> None:
    """Longer at work than the bus waits for silence, with another process free: one delivery on each lane."""
    await asyncio.gather(rig.start(), rig.start())
    ids = [await rig.send(lane.topic, f"sleep:{lane.ack_wait * 1.4}") for lane in (ON_PLACED, ON_PAID, ON_PACKED)]
    await until(lambda: set(rig.seen("done")) == set(ids))
    assert sorted(rig.seen("start")) == sorted(ids)


@SINGLE
async def test_the_work_of_a_killed_process_is_taken_over(rig: Rig, lane: Consumer) -> None:
    """No word was acknowledged before the handler ended, so another process has it within 5 s."""
    await asyncio.gather(rig.start(), rig.start())
    id_ = await rig.send(lane.topic, "sleep:0.5")
    signal_to(await rig.begun(id_), signal.SIGKILL)
    assert await until(lambda: rig.seen("start") == [id_, id_]) < 5
    await until(lambda: id_ in rig.seen("done"))


@SINGLE
async def test_the_work_of_a_frozen_process_is_taken_over_and_its_late_word_is_harmless(
    rig: Rig, lane: Consumer
) -> None:
    """The second process handles it; the first wakes, ends, acks: nothing is lost or handled a third time."""
    await asyncio.gather(rig.start(), rig.start())
    id_ = await rig.send(lane.topic, "sleep:0.5")
    first = await rig.begun(id_)
    signal_to(first, signal.SIGSTOP)
    assert await until(lambda: rig.seen("start") == [id_, id_], 20) < rig.side.frozen_within
    signal_to(first, signal.SIGCONT)
    others = await rig.send_many(lane.topic, 10)
    await until(lambda: set(others) <= set(rig.seen("done")) and rig.seen("done").count(id_) == 2)
    await asyncio.sleep(1)
    assert rig.seen("start").count(id_) == 2
    assert await rig.letters(lane) == []


@EVERY
async def test_stopped_under_load_nothing_is_lost_or_doubled(rig: Rig, lane: Consumer) -> None:
    """What runs is finished, what waits goes to the next process: each message once."""
    ids = await rig.send_many(lane.topic, 100, "sleep:0.02" if lane.batch else "sleep:0.1")
    first = await rig.start()
    await until(lambda: len(rig.seen("done")) >= 8)
    first.terminate()
    assert await ended(first) == 0
    assert sorted(rig.seen("start")) == sorted(rig.seen("done"))
    assert len(rig.seen("done")) < len(ids)
    await rig.start()
    await until(lambda: set(rig.seen("done")) == set(ids), 20)
    assert sorted(rig.seen("done")) == sorted(ids)


@EVERY
async def test_what_outlives_the_grace_is_handed_back(rig: Rig, lane: Consumer) -> None:
    """A handler that doesn't end is cancelled, and its message is with another process at once."""
    await asyncio.gather(rig.start(grace=0.3), rig.start(grace=0.3))
    id_ = await rig.send(lane.topic, "sleep:1.5")
    first = await rig.begun(id_)
    first.terminate()
    assert await until(lambda: rig.seen("start") == [id_, id_]) < 2
    assert await ended(first, 8) == 0
    await until(lambda: rig.seen("done") == [id_])


@SINGLE
async def test_a_blocked_loop_costs_no_redelivery(rig: Rig, lane: Consumer) -> None:
    """A handler blocks its process for most of the time that the bus waits; what arrived meanwhile takes long too."""
    ids = [await rig.send(lane.topic, "block:3"), *await rig.send_many(lane.topic, 5, "sleep:1.5")]
    await rig.start()
    await rig.start()
    await until(lambda: set(rig.seen("done")) == set(ids))
    assert sorted(rig.seen("start")) == sorted(ids)
