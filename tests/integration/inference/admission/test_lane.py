"""One lane over the bus: fair among tenants, bounded, and nothing that waits is forgotten."""

import asyncio
from uuid import uuid4

import pytest

from penstock_common.contracts.generation import CancelGeneration, Tokens
from penstock_common.contracts.stream import Beat
from penstock_common.messaging.envelope import Context, envelop
from penstock_common.messaging.topology import ACK_WAIT
from penstock_common.topology import PLATFORM
from tests.integration.inference.admission.conftest import Scenes, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

BACKLOG, MANY = 200, 300


async def test_a_new_tenants_first_request_starts_next(scenes: Scenes) -> None:
    """Two slots, two hundred waiting of another tenant: it is begun as soon as a slot frees."""
    scene = await scenes(slots=2, waiting=500)
    busy, new = uuid4(), uuid4()
    for number in range(2 + BACKLOG):
        await scene.ask(f"busy {number}", busy)
    await scene.waiting(BACKLOG)
    await scene.ask("new 0", new)
    await scene.ask("new 1", new)
    await scene.waiting(BACKLOG + 2)
    first = list(await scene.begun(2))
    scene.engine.let(first[0])
    assert (await scene.begun(3))[2] == "new 0"
    scene.engine.let("new 0", first[1])
    assert "new 1" in (await scene.begun(5))[3:]
    scene.engine.open()
    await until(lambda: len(scene.probe.ends) == 4 + BACKLOG)
    assert len(scene.engine.begun) == len(set(scene.engine.begun)) == 4 + BACKLOG
    assert {end.outcome for end in scene.probe.ends} == {"succeeded"}


async def test_reserved_slots_are_kept(scenes: Scenes) -> None:
    """The last of two waits for the tier `enterprise`, whatever else waits."""
    scene = await scenes(slots=2, reserved=1)
    busy = uuid4()
    await scene.ask("one", busy)
    await scene.ask("two", busy)
    await scene.waiting(1)
    assert scene.engine.begun == ["one"]
    await scene.ask("first class", uuid4(), tier="enterprise")
    assert await scene.begun(2) == ["one", "first class"]
    scene.engine.let("first class")
    assert await scene.ended("first class") == "succeeded"
    assert scene.engine.begun == ["one", "first class"]
    scene.engine.open()
    assert await scene.ended("two") == "succeeded"


async def test_past_its_deadline_no_engine_is_called(scenes: Scenes) -> None:
    """It ends as expired, with a beat or two before, and is charged nothing."""
    scene = await scenes(slots=1)
    tenant = uuid4()
    await scene.ask("one", tenant)
    await scene.ask("late", tenant, left=3.0)
    await scene.waiting(1)
    assert await scene.ended("late") == "expired"
    state = await scene.probe.read(scene.ids["late"], reply=False)
    assert (state.tokens, state.error_code) == (Tokens(), "inference.deadline_passed")
    assert Beat(0) in scene.probe.frames
    assert scene.engine.begun == ["one"]


async def test_it_can_be_stopped_while_it_waits(scenes: Scenes) -> None:
    """Its end is recorded and told, and the engine hears nothing of it."""
    scene = await scenes(slots=1)
    tenant = uuid4()
    await scene.ask("one", tenant)
    asked = await scene.ask("stopped", tenant)
    await scene.waiting(1)
    found = await scene.probe.find(asked.request_id)
    assert (found.attempt, found.position, found.expected_wait_seconds) == (0, 1, None)
    cancel = CancelGeneration(request_id=asked.request_id, tenant=tenant, reason="asked")
    message = envelop(
        cancel, PLATFORM.topic(CancelGeneration), message_id=f"{asked.request_id}.stop", context=Context()
    )
    await scene.probe.bus.publish(message, 5.0)
    assert await scene.ended("stopped") == "cancelled"
    assert scene.engine.begun == ["one"]


async def test_its_bound_holds(scenes: Scenes) -> None:
    """A tenant that has its share of the waiting room is refused, and another one still waits."""
    scene = await scenes(slots=1, waiting=2)
    busy = uuid4()
    await scene.ask("one", busy)
    await scene.ask("two", busy)
    await scene.waiting(1)
    await scene.ask("too many of one", busy)
    assert await scene.ended("too many of one") == "failed"
    [end] = scene.probe.ends
    assert end.failure is not None
    assert (end.failure.code, end.failure.fault, end.failure.retry_after) == ("inference.overloaded", "limited", 5.0)
    await scene.ask("another", uuid4())
    await scene.waiting(2)
    scene.engine.open()
    assert await scene.ended("another") == "succeeded"
    assert sorted(scene.engine.begun) == ["another", "one", "two"]


async def test_many_are_held_without_a_word_being_lost(scenes: Scenes) -> None:
    """Hundreds of deliveries wait for longer than the bus waits for a word, and each is answered once."""
    scene = await scenes(slots=4, waiting=2 * MANY)
    tenants = [uuid4() for _ in range(10)]
    for at in range(0, MANY, 50):
        await asyncio.gather(*(scene.ask(f"prompt {number}", tenants[number % 10]) for number in range(at, at + 50)))
    await scene.waiting(MANY - 4)
    await asyncio.sleep(ACK_WAIT + 2.0)
    assert len(scene.app.interactive.queue) == MANY - 4
    scene.engine.open()
    await until(lambda: len(scene.probe.ends) >= MANY, 90)
    assert len(scene.engine.begun) == len(set(scene.engine.begun)) == MANY
    assert {(end.outcome, end.attempt) for end in scene.probe.ends} == {("succeeded", 1)}
