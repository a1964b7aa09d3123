"""What a delivery means."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from penstock_common.errors import BusUnavailable, ContractViolated
from penstock_common.messaging.delivery import DELIVERED, Delivery, HandBack
from penstock_common.messaging.envelope import CONTEXT
from penstock_common.messaging.ports import Incoming
from tests.unit.messaging.fakes import BATCHED, LANE, FakeSettler, delivered


class Conflict(Exception):
    """What a database driver raises for two transactions at once."""

    sqlstate = "40001"


def failing(*errors: BaseException) -> Callable[[object], object]:
    """A handler that raises these, one a call, and then succeeds."""
    left = list(errors)

    async def handler(_: object) -> None:
        if left:
            raise left.pop(0)

    return handler


async def words_after(error: BaseException | None, message: Incoming) -> list[tuple[object, ...]]:
    """What the bus is told when a handler ends so."""
    settler = FakeSettler()
    await Delivery(settler).run(failing(*([error] if error else [])), message, LANE)  # type: ignore[arg-type]
    return settler.words


async def test_success_is_acknowledged() -> None:
    """Once, after the handler."""
    assert await words_after(None, delivered()) == [("ack", "0")]


async def test_a_refusal_is_buried_with_its_reason() -> None:
    """No later attempt can succeed."""
    assert await words_after(ContractViolated("no"), delivered()) == [("bury", "0", 1, "ContractViolated: no")]


@pytest.mark.parametrize(("attempt", "least", "most"), [(1, 0.05, 0.1), (2, 0.1, 0.2)])
async def test_what_passes_is_tried_later(attempt: int, least: float, most: float) -> None:
    """After the pause of that attempt, shortened by up to a half."""
    [(word, _, delay, reason)] = await words_after(BusUnavailable("away"), delivered(attempt=attempt))
    assert (word, reason) == ("retry", "BusUnavailable: away")
    assert isinstance(delay, float)
    assert least <= delay <= most


async def test_the_last_attempt_is_buried() -> None:
    """Whatever it raised."""
    assert await words_after(KeyError("x"), delivered(attempt=3)) == [("bury", "0", 3, "KeyError: 'x'")]


async def test_more_attempts_than_allowed_reach_no_handler() -> None:
    """The last one ended without a word."""
    [(word, _, attempts, _)] = await words_after(AssertionError("called"), delivered(attempt=4))
    assert (word, attempts) == ("bury", 3)


async def test_after_silent_deaths_a_message_is_moved_before_it_is_handled() -> None:
    """It may have killed its neighbours."""
    words = await words_after(AssertionError("called"), delivered(attempt=3, silent=2))
    assert words == [("quarantine", "0", 2)]


async def test_handing_back_is_neither_success_nor_failure() -> None:
    """The delay is the handler's."""
    assert await words_after(HandBack(1.5), delivered()) == [("hand back", "0", 1.5)]


async def test_a_cancelled_handler_hands_back() -> None:
    """And stays cancelled."""
    settler = FakeSettler()

    async def endless(_: object) -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(Delivery(settler).run(endless, delivered(), LANE))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert settler.words == [("hand back", "0", 0.0)]


@pytest.mark.parametrize("error", [None, BusUnavailable("x"), ContractViolated("x"), HandBack()])
async def test_a_bus_that_is_away_raises_nothing(error: Exception | None) -> None:
    """It will deliver again by itself."""
    handler = failing(*([error] if error else []))
    await Delivery(FakeSettler(broken=True)).run(handler, delivered(), LANE)  # type: ignore[arg-type]


async def test_two_transactions_at_once_cost_no_attempt() -> None:
    """The same call is repeated at once."""
    settler = FakeSettler()
    await Delivery(settler).run(failing(Conflict(), Conflict()), delivered(), LANE)  # type: ignore[arg-type]
    assert settler.words == [("ack", "0")]


async def test_a_long_handler_beats() -> None:
    """While it runs, and no longer."""
    settler = FakeSettler(heartbeat=0.02)

    async def long(_: object) -> None:
        async with asyncio.timeout(5):
            while len(settler.words) < 3:
                await asyncio.sleep(0.005)

    await Delivery(settler).run(long, delivered(), LANE)
    said = list(settler.words)
    await asyncio.sleep(0.05)
    assert said == [("extend", "0")] * 3 + [("ack", "0")] == settler.words


async def test_a_handler_knows_its_delivery_and_what_caused_it() -> None:
    """For what it publishes, and for its inbox."""
    seen: list[object] = []

    async def handler(_: object) -> None:
        seen.extend((CONTEXT.get().causation, DELIVERED.get()))

    message = delivered(7)
    await Delivery(FakeSettler()).run(handler, message, LANE)
    assert seen == ["7", (LANE, (message,))]
    assert DELIVERED.get() is None


async def test_a_batch_is_acknowledged_as_a_whole() -> None:
    """One call, all acks."""
    settler, sizes = FakeSettler(), list[int]()

    async def handler(messages: Sequence[Incoming]) -> None:
        sizes.append(len(messages))

    await Delivery(settler).run_batch(handler, [delivered(n) for n in range(3)], BATCHED)
    assert sizes == [3]
    assert settler.words == [("ack", str(n)) for n in range(3)]


async def test_a_failing_batch_is_repeated_one_by_one() -> None:
    """Only what fails alone is settled as failed."""
    settler = FakeSettler()

    async def handler(messages: Sequence[Incoming]) -> None:
        if any(message.message_id == "1" for message in messages):
            raise ContractViolated("no")

    await Delivery(settler).run_batch(handler, [delivered(n) for n in range(3)], BATCHED)
    assert settler.words == [("ack", "0"), ("bury", "1", 1, "ContractViolated: no"), ("ack", "2")]


async def test_a_batch_of_one_is_tried_once() -> None:
    """There is nothing to take apart."""
    settler, calls = FakeSettler(), list[int]()

    async def handler(messages: Sequence[Incoming]) -> None:
        calls.append(len(messages))
        raise BusUnavailable("away")

    await Delivery(settler).run_batch(handler, [delivered()], BATCHED)
    assert calls == [1]
    assert [word for word, *_ in settler.words] == ["retry"]


async def test_a_suspect_leaves_its_batch() -> None:
    """The others are handled without it."""
    settler, sizes = FakeSettler(), list[int]()

    async def handler(messages: Sequence[Incoming]) -> None:
        sizes.append(len(messages))

    messages = [delivered(0), delivered(1, attempt=3, silent=2), delivered(2)]
    await Delivery(settler).run_batch(handler, messages, BATCHED)
    assert sizes == [2]
    assert settler.words == [("quarantine", "1", 2), ("ack", "0"), ("ack", "2")]


async def test_a_dead_letter_is_not_buried_again() -> None:
    """It would come round for ever."""
    settler, lane = FakeSettler(), BATCHED.__class__("test", "count", LANE.topic, has_on_dead=True).dead_lane
    assert lane
    await Delivery(settler).run(failing(ContractViolated("no")), delivered(), lane)  # type: ignore[arg-type]
    assert settler.words == [("ack", "0")]


async def test_draining_waits_for_what_runs_then_hands_it_back() -> None:
    """First patience, then an end."""
    settler = FakeSettler()
    delivery = Delivery(settler)

    async def work(message: Incoming) -> None:
        await asyncio.sleep(0.02 if message.message_id == "0" else 60)

    tasks = [asyncio.create_task(delivery.run(work, delivered(n), LANE)) for n in range(2)]
    await asyncio.sleep(0)
    await delivery.inflight.drain(0.1)
    assert all(task.done() for task in tasks)
    assert settler.words == [("ack", "0"), ("hand back", "1", 0.0)]
