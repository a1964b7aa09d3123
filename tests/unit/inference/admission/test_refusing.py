"""What there is no room for: refused with a record and a time to come back, or left on the bus."""

import asyncio

import pytest
from msgspec.structs import replace

from penstock_common.contracts.generation import Tokens
from penstock_common.ids import uuid7
from penstock_common.messaging.delivery import HandBack
from penstock_inference.domain.seats import ENTERPRISE, Seats, Size, size_of
from tests.unit.inference.admission.conftest import OTHER, TENANT, THIRD, Lanes, Scene, until


async def full(lanes: Lanes, *, waiting: int = 2, tenant_waiting: int = 2) -> Scene:
    """A lane of one slot; as many wait as one tenant may have."""
    scene = lanes(waiting=waiting, tenant_waiting=tenant_waiting)
    first = scene.begin()
    for _ in range(min(waiting, tenant_waiting)):
        scene.begin()
    await until(lambda: scene.called == [first])
    await scene.settled()
    return scene


async def test_refused_with_a_time_to_come_back(lanes: Lanes) -> None:
    """No engine is called, nothing is charged, the end is there before the client hears of it."""
    scene = await full(lanes)
    request = scene.begin(OTHER)
    await scene.over(request)
    [told] = scene.world.audience.ends()
    assert told.failure is not None
    assert (told.failure.code, told.failure.fault) == ("inference.overloaded", "limited")
    assert 1.0 <= told.failure.retry_after <= 60.0
    assert "2 requests wait already" in told.failure.message
    [end] = scene.world.records.ends
    assert (scene.outcome(request), end.tokens) == ("failed", Tokens())
    assert request not in scene.called


async def test_one_tenant_has_no_more_than_its_share(lanes: Lanes) -> None:
    """At its bound it is refused, and another one still waits."""
    scene = await full(lanes, waiting=10)
    own, other = scene.begin(), scene.begin(OTHER)
    await scene.over(own)
    assert "of this project" in scene.world.audience.ends()[0].failure.message  # type: ignore[union-attr]
    await scene.settled()
    assert scene.outcome(other) == ""
    assert len(scene.lane.queue) == 3


async def test_large_requests_fill_the_room_sooner(lanes: Lanes) -> None:
    """What waits is in memory: its bytes are bounded, and free once it is gone."""
    scene = lanes(waiting_bytes=3 << 20)
    command = scene.world.command(sealed=bytes(2 << 20))
    first = scene.begin()
    await until(lambda: scene.called == [first])
    large = [scene.deliver(replace(command, request_id=uuid7())) for _ in range(3)]
    await scene.over(large[2])
    assert "4 MiB of requests wait already" in scene.world.audience.ends()[0].failure.message  # type: ignore[union-attr]
    scene.lane.close()
    await asyncio.gather(*(scene.tasks[request] for request in large), return_exceptions=True)
    assert scene.lane.waiting_bytes == 0


async def test_a_refusal_whose_acknowledgement_was_lost_stays_one(lanes: Lanes) -> None:
    """Delivered again with room for it, the recorded refusal is repeated, and no engine is called."""
    scene = await full(lanes)
    command = scene.world.command(tenant=OTHER)
    await scene.over(scene.deliver(command))
    lanes.go.set()
    await until(lambda: len(scene.world.records.ends) == 4)
    await scene.over(scene.deliver(command, redelivered=True))
    assert command.request_id not in scene.called
    assert [end.outcome for end in scene.world.audience.ends() if end.failure].count("failed") == 2


async def test_who_comes_again_is_never_refused(lanes: Lanes) -> None:
    """Its client may have a part of the answer."""
    scene = await full(lanes)
    again = scene.begin(OTHER, redelivered=True)
    marked = scene.begin(THIRD, republished=True)
    await scene.settled()
    assert len(scene.lane.queue) == 4
    assert not scene.tasks[again].done()
    assert not scene.tasks[marked].done()


async def test_what_was_promised_goes_back_to_the_bus(lanes: Lanes) -> None:
    """For long enough that it is still delivered at its deadline; nothing is recorded."""
    scene = await full(lanes)
    with pytest.raises(HandBack) as back:
        await scene.over(scene.begin(OTHER, is_promised=True))
    assert back.value.delay >= 15.0
    assert scene.world.records.ends == []


async def test_without_its_records_it_says_so_at_once(lanes: Lanes) -> None:
    """Refusals can't be recorded then: the client hears 503 for that, not 429, and does not wait."""
    scene = await full(lanes, waiting=10, tenant_waiting=10)
    scene.world.records.away = True
    scene.begin(OTHER)
    await until(scene.world.audience.ends)
    assert scene.world.audience.ends()[0].failure.code == "inference.records_unavailable"  # type: ignore[union-attr]
    scene.world.records.away = False


def test_sizes_follow_from_the_slots() -> None:
    """A tenth reserved, four times as many waiting, half of them one tenant's; never more than a bus prefetches."""
    assert size_of(1000) == Size(1000, 100, 4000, 2000)
    assert size_of(1) == Size(1, 0, 4, 2)
    assert size_of(40_000).waiting == 25_000
    for wrong in ((5, 5, None), (1, None, 65_000)):
        with pytest.raises(ValueError, match="slots"):
            size_of(*wrong)


def test_seats_are_counted_by_tier_and_tenant() -> None:
    """The ordinary ones are never more than those that are open, all together never more than there are."""
    seats = Seats(Size(3, 1))
    assert [seats.take(TENANT, "standard") for _ in range(3)] == [True, True, False]
    assert (seats.is_open, seats.is_free) == (False, True)
    assert [seats.take(OTHER, ENTERPRISE) for _ in range(2)] == [True, False]
    seats.leave(TENANT, "standard")
    assert seats.take(OTHER, ENTERPRISE)
    assert not seats.take(TENANT, "unheard of")
    seats.leave(TENANT, "standard")
    assert (seats.has(TENANT), seats.has(OTHER), seats.taken) == (False, True, 2)
