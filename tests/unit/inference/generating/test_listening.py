"""Who listens to a run: all of it, or as much at once as there is room for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from penstock_common.contracts.generation import About, AttachGeneration, FindGeneration
from penstock_common.contracts.stream import Beat
from penstock_inference.generating.listening import MOST_LISTENERS
from penstock_inference.generating.run import Run
from penstock_inference.ports import EngineEvent, Finished, TextDelta
from tests.support.generation_fakes import API, OTHER_API
from tests.unit.inference.generating.conftest import LEASE_SECONDS, World, until

TEXT = "The river is deep and wide."


def said(text: str) -> list[EngineEvent]:
    """Text of choice 0."""
    return [TextDelta(0, "content", text)]


@asynccontextmanager
async def half_said(world: World) -> AsyncIterator[tuple[Run, asyncio.Event]]:
    """A run that has said `TEXT`, and says ` Yes.` and ends once the event is set."""
    gate = asyncio.Event()
    world.engine.script = [said(TEXT), gate, said(" Yes."), [Finished(0, "stop")]]
    command = world.command()
    running = world.begin(command)
    await until(lambda: world.audience.text() == TEXT)
    yield world.registry.runs[command.request_id], gate
    gate.set()
    await running


async def test_as_much_as_there_is_room_for_then_nothing_until_asked_again(world: World) -> None:
    """The text that follows and the end go to the others alone."""
    async with half_said(world) as (run, gate):
        run.attach(OTHER_API, {"0/content": 4}, 5)
        assert world.audience.text(OTHER_API) == "____river"
        gate.set()
    assert world.audience.text(OTHER_API) == "____river"
    assert world.audience.ends(OTHER_API) == []
    assert world.audience.text() == f"{TEXT} Yes."


async def test_who_has_caught_up_is_sent_what_follows(world: World) -> None:
    """The last part makes it a listener like any other, without a limit."""
    async with half_said(world) as (run, gate):
        run.attach(OTHER_API, {}, 24)
        run.attach(OTHER_API, {"0/content": 24}, 3)
        gate.set()
    assert world.audience.text(OTHER_API) == f"{TEXT} Yes."
    assert world.audience.ends(OTHER_API) == world.audience.ends(API)


async def test_exactly_enough_room_is_enough(world: World) -> None:
    """A limit that the text just keeps to leaves nothing to ask for."""
    async with half_said(world) as (run, gate):
        run.attach(OTHER_API, {}, len(TEXT))
        gate.set()
    assert len(world.audience.ends(OTHER_API)) == 1


async def test_who_asks_and_lacks_nothing_hears_that_the_run_lives(world: World) -> None:
    """Else it could not tell a run that is silent from one that is gone."""
    async with half_said(world) as (run, _):
        run.attach(OTHER_API, {"0/content": len(TEXT)})
        assert world.audience.frames(OTHER_API) == [Beat(1)]


async def test_a_beat_tells_that_nothing_is_left_to_ask_for(world: World) -> None:
    """One that was sent a part hears none until it has asked for the rest, while the others are sent text."""
    world.beat_seconds = 0.0
    async with half_said(world) as (run, _):
        run.attach(OTHER_API, {}, 3)
        told = world.audience.frames(OTHER_API)
        run.take(said(" More."))
        run.beat()
        assert world.audience.text() == f"{TEXT} More."
        assert world.audience.frames(OTHER_API) == told
        run.attach(OTHER_API, {"0/content": 3}, 100)
        assert world.audience.frames(OTHER_API)[-1] == Beat(1)
        assert world.audience.text(OTHER_API) == f"{TEXT} More."


async def test_part_that_did_not_leave_is_sent_when_the_bus_is_back(world: World) -> None:
    """Within the limit that was asked for, and no more."""
    async with half_said(world) as (run, _):
        world.audience.deaf = True
        run.attach(OTHER_API, {}, 3)
        world.audience.deaf = False
        run.flush()
        run.flush()
        assert world.audience.text(OTHER_API) == TEXT[:3]


async def test_suspect_serves_nobody_until_it_is_assured(world: World) -> None:
    """Then it keeps to the limit all the same."""
    async with half_said(world) as (run, _):
        world.clock.ahead += LEASE_SECONDS + 1
        run.attach(OTHER_API, {}, 3)
        assert world.audience.frames(OTHER_API) == []
        await run.assure()
        assert world.audience.text(OTHER_API) == TEXT[:3]


async def test_listeners_of_a_run_are_bounded(world: World) -> None:
    """Of too many, whoever was not heard from for longest is forgotten, and may ask again."""
    async with half_said(world) as (run, gate):
        for n in range(MOST_LISTENERS):
            world.clock.ahead += 0.001
            run.attach(f"api-more-{n}", {})
        assert len(run.listeners) == MOST_LISTENERS
        gate.set()
    assert world.audience.ends(API) == []
    assert len(world.audience.ends("api-more-0")) == 1


async def test_attach_is_heard_with_its_limit(world: World) -> None:
    """By the process that runs the request; others pass over it."""
    async with half_said(world) as (run, _):
        await world.registry.on_attach(
            AttachGeneration(request_id=run.request_id, reply_to=OTHER_API, offsets={"0/content": 1}, most=2)
        )
        assert world.audience.text(OTHER_API) == "_he"
        await world.registry.on_attach(AttachGeneration(request_id=run.command.tenant, reply_to="api-3"))
        assert world.audience.frames("api-3") == []


async def test_running_request_is_found_with_all_that_a_client_may_ask(world: World) -> None:
    """Any api process can answer for it."""
    async with half_said(world) as (run, _):
        found = await world.registry.on_find(FindGeneration(request_id=run.request_id, asking=OTHER_API))
        assert found
        assert found.about == About.of(run.command)
        assert (found.started_at, found.first_token_at) == (run.started_at, run.first_token_at)
        assert found.decisions == run.command.decisions


async def test_take_over_is_announced_once_the_run_can_be_attached_to(world: World) -> None:
    """Whoever holds the request open asks at once; a first attempt is announced to nobody."""
    world.engine.script = [said(TEXT), [Finished(0, "stop")]]
    first, second = world.command(), world.command()
    findable: list[bool] = []
    await world.answer(first)
    world.audience.waiting.add(second.request_id)
    world.audience.on_taken_over = lambda request_id: findable.append(request_id in world.registry.runs)
    await world.answer(second, redelivered=True)
    assert world.audience.taken_over == [(second.request_id, 2)]
    assert findable == [True]
