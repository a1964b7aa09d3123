"""How deliveries are kept alive."""

import asyncio
import time

from penstock_common.messaging.inflight import Inflight
from tests.unit.messaging.fakes import FakeSettler, delivered

EVERY = 0.04


async def test_each_beats_in_its_own_time_and_only_while_it_is_held() -> None:
    """One that came later beats later; one that is settled or released beats no more."""
    settler = FakeSettler(heartbeat=EVERY)
    inflight, messages = Inflight(settler), [delivered(n) for n in range(4)]
    inflight.hold(messages[:3])
    await asyncio.sleep(EVERY / 2)
    inflight.hold(messages[3:])
    inflight.release(messages[1:2])
    messages[2].settled = True
    await asyncio.sleep(EVERY * 3)
    assert settler.words[:4] == [("extend", "0"), ("extend", "3")] * 2
    inflight.release(messages)
    said = list(settler.words)
    await asyncio.sleep(EVERY * 1.5)
    assert settler.words == said
    assert set(said) == {("extend", "0"), ("extend", "3")}


async def test_many_beat_with_one_word() -> None:
    """10,000 deliveries are one call a beat, which costs little."""
    settler = FakeSettler(heartbeat=EVERY)
    inflight, messages, calls = Inflight(settler), [delivered(n) for n in range(10_000)], list[int]()
    settler.extend = lambda due: calls.append(len(due))  # type: ignore[method-assign,assignment]
    inflight.hold(messages)
    began = time.process_time()
    async with asyncio.timeout(5):
        while len(calls) < 3:
            await asyncio.sleep(EVERY / 4)
    assert calls == [10_000] * 3
    assert time.process_time() - began < 3 * 10_000 * 20e-6
    inflight.release(messages)


async def test_nothing_held_means_no_timer() -> None:
    """An idle process does not wake."""
    settler = FakeSettler(heartbeat=EVERY)
    inflight, message = Inflight(settler), delivered()
    inflight.hold([message])
    inflight.release([message])
    await asyncio.sleep(EVERY * 1.5)
    assert inflight._timer is None
    inflight.hold([message])
    await asyncio.sleep(EVERY * 1.5)
    assert settler.words == [("extend", "0")]
    inflight.release([message])


async def test_after_a_blocked_loop_each_beats_once() -> None:
    """What was missed is not made up for."""
    settler = FakeSettler(heartbeat=EVERY)
    inflight, message = Inflight(settler), delivered()
    inflight.hold([message])
    time.sleep(EVERY * 4)
    await asyncio.sleep(EVERY / 2)
    assert settler.words == [("extend", "0")]
    inflight.release([message])


async def test_a_beat_that_fails_is_followed_by_the_next() -> None:
    """A bus that is away for a moment ends no delivery."""
    settler = FakeSettler(heartbeat=EVERY)
    inflight, message, calls = Inflight(settler), delivered(), list[int]()

    def extend(due: object) -> None:
        calls.append(1)
        raise ConnectionError(due)

    settler.extend = extend  # type: ignore[method-assign,assignment]
    inflight.hold([message])
    async with asyncio.timeout(5):
        while len(calls) < 3:
            await asyncio.sleep(EVERY / 4)
    inflight.release([message])


async def test_where_the_connection_is_the_sign_of_life_nothing_beats() -> None:
    """As on RabbitMQ."""
    settler = FakeSettler(heartbeat=None)
    inflight = Inflight(settler)
    inflight.hold([delivered()])
    await asyncio.sleep(EVERY)
    assert settler.words == []
