"""Who is let in, who waits, and in which order what waits goes on."""

import asyncio

import pytest

from penstock_common.contracts.generation import CancelGeneration, Outcome
from penstock_common.contracts.stream import Beat
from penstock_common.messaging.delivery import HandBack
from penstock_inference.domain.seats import ENTERPRISE
from penstock_inference.domain.takeover import Held, output_of
from penstock_inference.generating.leaving import DEAD_SECONDS
from penstock_inference.ports import Finished, TextDelta
from tests.support.generation_fakes import API, OTHER_API, Row
from tests.unit.inference.admission.conftest import OTHER, TENANT, THIRD, Lanes, Scene, until
from tests.unit.inference.generating.test_leaving import SIGN_SECONDS, Watched

LATE = 5.0  # seconds: more than a bus may forget, and than a lease holds


async def stop(scene: Scene, request_id: object) -> None:
    """A stop of a request is heard by its process."""
    cancel = CancelGeneration(request_id=request_id, tenant=TENANT, reason="asked")  # type: ignore[arg-type]
    await scene.world.registry.on_cancel(cancel)


async def test_with_a_free_slot_nothing_is_added(lanes: Lanes) -> None:
    """The engine is called, and no decision tells of a wait."""
    scene = lanes(slots=1)
    request = scene.begin()
    await until(lambda: scene.called == [request])
    lanes.go.set()
    await scene.over(request)
    assert [decision.step for decision in scene.world.records.ends[0].decisions] == ["route", "generate"]


async def test_a_new_tenants_first_request_starts_next(lanes: Lanes) -> None:
    """Two slots and two hundred waiting of one tenant: the other's request is next, its second takes turns."""
    scene = lanes(slots=2, waiting=300, tenant_waiting=300)
    running = [scene.begin() for _ in range(2)]
    waiting = [scene.begin() for _ in range(200)]
    await scene.settled()
    news = [scene.begin(OTHER) for _ in range(2)]
    await scene.settled()
    assert scene.called == running
    await stop(scene, running[0])
    await until(lambda: len(scene.called) == 3)
    assert scene.called[2] == news[0]
    await stop(scene, running[1])
    await stop(scene, news[0])
    await until(lambda: len(scene.called) == 5)
    assert set(scene.called[3:]) == {waiting[0], news[1]}


async def test_reserved_slots_are_for_their_tier(lanes: Lanes) -> None:
    """The last slot stays free for `enterprise`, which may use the others as well."""
    scene = lanes(slots=2, reserved=1)
    first, second = scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    privileged = [scene.begin(OTHER, tier=ENTERPRISE) for _ in range(2)]
    await until(lambda: scene.called == [first, privileged[0]])
    await stop(scene, privileged[0])
    await until(lambda: scene.called == [first, *privileged])
    await stop(scene, first)
    await until(lambda: scene.called == [first, *privileged, second])


async def test_what_waited_is_told_with_its_end(lanes: Lanes) -> None:
    """However long it waited, it is its first attempt, and its decisions name the lane and the time."""
    scene = lanes()
    first, second = scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    scene.world.clock.ahead += LATE
    await stop(scene, first)
    await until(lambda: len(scene.called) == 2)
    scene.world.engine.script = []
    lanes.go.set()
    await scene.over(second)
    end = scene.world.records.ends[-1]
    assert (end.outcome, end.attempt) == (Outcome.SUCCEEDED, 1)
    assert [(d.step, d.outcome, d.reason) for d in end.command.decisions] == [
        ("admit", "interactive", f"waited {LATE * 1000:.0f} ms")
    ]


async def test_a_slot_goes_on_however_its_request_ended(lanes: Lanes) -> None:
    """Failed, superseded or cancelled by the process: the next one starts each time."""
    scene = lanes()
    requests = [scene.begin() for _ in range(3)]
    await until(lambda: scene.called == requests[:1])
    scene.world.registry.runs[requests[0]].supersede()
    with pytest.raises(HandBack):
        await scene.over(requests[0])
    await until(lambda: scene.called == requests[:2])
    scene.tasks[requests[1]].cancel()
    await until(lambda: scene.called == requests)
    scene.tasks[requests[2]].cancel()
    await until(lambda: scene.lane.seats.taken == 0)


async def test_a_task_that_ends_as_it_gets_its_slot_gives_it_back(lanes: Lanes) -> None:
    """The process cancels it in the moment in which it was called."""
    scene = lanes()
    first, second, third = scene.begin(), scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    scene.tasks[second].cancel()
    await stop(scene, first)
    await until(lambda: third in scene.called)
    assert second not in scene.called
    lanes.go.set()
    await scene.over(third)
    assert scene.lane.seats.taken == 0


async def test_past_its_deadline_it_ends_without_the_engine(lanes: Lanes) -> None:
    """As expired, charged nothing, and its client hears it; what has time left waits on."""
    scene = lanes()
    first, late, patient = scene.begin(), scene.begin(left=3.0), scene.begin(left=600.0)
    await until(lambda: scene.called == [first])
    scene.world.clock.ahead += LATE
    await scene.lane.look()
    await scene.over(late)
    assert scene.outcome(late) == "expired"
    [end] = scene.world.records.ends
    assert (end.tokens.prompt, end.tokens.completion) == (0, 0)
    assert [ended.outcome for ended in scene.world.audience.ends()] == ["expired"]
    assert not scene.tasks[patient].done()
    assert scene.called == [first]


async def test_it_can_be_stopped_while_it_waits(lanes: Lanes) -> None:
    """At once, without the engine; those behind it move up."""
    scene = lanes()
    first, second, third = scene.begin(), scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    await stop(scene, second)
    await scene.over(second)
    assert scene.outcome(second) == "cancelled"
    assert scene.called == [first]
    found = scene.world.registry.waiting[third].found()
    assert (found.attempt, found.position) == (0, 1)


async def test_a_client_whose_api_process_died_is_asked_for(lanes: Lanes) -> None:
    """Nobody waits for it any more: it ends without the engine. Whoever is still waited for keeps its place."""
    scene = lanes()
    first, left, kept = scene.begin(), scene.begin(left=600.0), scene.begin(left=600.0)
    await until(lambda: scene.called == [first])
    world = scene.world
    world.audience.waiting = {first, kept}
    watched = Watched(world)
    await watched.pass_(DEAD_SECONDS + SIGN_SECONDS)
    await scene.over(left)
    assert (scene.outcome(left), scene.outcome(kept)) == ("cancelled", "")
    assert scene.called == [first]
    await watched.leaving.stop()


async def test_who_listens_hears_that_it_is_there_and_then_its_answer(lanes: Lanes) -> None:
    """A process that attaches while it waits gets a beat at once, others in time; the answer goes to all of them."""
    scene = lanes()
    first, second = scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    waiting = scene.world.registry.waiting[second]
    waiting.attach(OTHER_API, {})
    assert scene.world.audience.frames(OTHER_API) == [Beat(0)]

    async def beaten() -> None:
        while Beat(0) not in scene.world.audience.frames(API):
            await scene.lane.look()
            await asyncio.sleep(0.05)

    await asyncio.wait_for(beaten(), 10)
    scene.world.engine.script = [[TextDelta(0, "content", "Hello"), Finished(0, "stop")]]
    await stop(scene, first)
    await scene.over(second)
    assert scene.world.audience.text(OTHER_API) == scene.world.audience.text(API) == "Hello"


async def test_its_position_and_its_wait_are_told(lanes: Lanes) -> None:
    """The wait once something has ended while something waited, and no sooner."""
    scene = lanes(slots=2)
    requests = [scene.begin() for _ in range(2)]
    waiting = [scene.begin() for _ in range(8)]
    await until(lambda: len(scene.called) == 2)
    told = [scene.world.registry.waiting[request].found() for request in waiting]
    assert [(found.position, found.expected_wait_seconds) for found in told] == [(n, None) for n in range(1, 9)]
    for request in requests:
        await stop(scene, request)
    await until(lambda: len(scene.called) == 4)
    scene.world.clock.ahead += 2.0
    await scene.lane.look()
    last = scene.world.registry.waiting[waiting[-1]].found()
    assert last.position == 6
    assert last.expected_wait_seconds == pytest.approx(6.0, rel=0.2)


async def test_another_process_may_have_begun_it_meanwhile(lanes: Lanes) -> None:
    """After a stall that loses the lease the row is asked: who is not the first hands back, and calls no engine."""
    scene = lanes()
    first, taken, kept = scene.begin(), scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    scene.world.clock.ahead += LATE
    scene.world.records.rows[taken] = Row(2, "running", "inference-2")
    await stop(scene, first)
    with pytest.raises(HandBack):
        await scene.over(taken)
    await until(lambda: scene.called == [first, kept])
    assert scene.world.records.rows[kept].attempt == 1


async def test_a_second_delivery_takes_the_place_of_the_first(lanes: Lanes) -> None:
    """The bus took the first one back: it ends, the request waits once and is claimed as any that comes again."""
    scene = lanes()
    first = scene.begin()
    await until(lambda: scene.called == [first])
    command = scene.world.command(tenant=TENANT)
    scene.deliver(command)
    await scene.settled()
    former = scene.tasks[command.request_id]
    scene.deliver(command, redelivered=True)
    with pytest.raises(HandBack):
        await former
    assert len(scene.lane.queue) == 1
    await stop(scene, first)
    await until(lambda: scene.called == [first, command.request_id])
    assert scene.world.records.rows[command.request_id].attempt == 2


async def test_begun_answers_go_first_of_their_tenant(lanes: Lanes) -> None:
    """A redelivered command, whose client has a part of the answer, goes before those that nobody began."""
    scene = lanes()
    first, waiting = scene.begin(), scene.begin()
    await until(lambda: scene.called == [first])
    command = scene.world.command(tenant=TENANT)
    scene.world.audience.holds[command.request_id] = Held(output_of([]))
    begun = scene.deliver(command, redelivered=True)
    await scene.settled()
    await stop(scene, first)
    await until(lambda: len(scene.called) == 2)
    assert scene.called == [first, begun]
    assert not scene.tasks[waiting].done()


async def test_a_process_that_stops_hands_back_what_waits(lanes: Lanes) -> None:
    """And what would have to wait from then on; what runs goes on."""
    scene = lanes()
    first, second = scene.begin(), scene.begin(OTHER)
    await until(lambda: scene.called == [first])
    scene.lane.close()
    with pytest.raises(HandBack):
        await scene.over(second)
    with pytest.raises(HandBack):
        await scene.over(scene.begin(THIRD))
    assert not scene.tasks[first].done()
    assert scene.world.records.ends == []
