"""Redelivered and re-published commands: one end, whoever reaches it."""

import asyncio
from typing import Any

import pytest

from penstock_common.contracts.generation import (
    CancelGeneration,
    FindGeneration,
    GenerateText,
    OnDisconnect,
    Outcome,
    Tokens,
)
from penstock_common.contracts.stream import Delta, Ended, Failure, Frame
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.delivery import HandBack
from penstock_inference.ports import EngineEvent, Finished, TextDelta, Used
from tests.support.generation_fakes import API, Row
from tests.unit.inference.generating.conftest import PROCESS, World, until

USED = Used(Tokens(3, 2))
ANSWER: list[list[EngineEvent]] = [[TextDelta(0, "content", "Hello")], [Finished(0, "stop"), USED]]
OTHERS: list[Frame] = [
    Delta(2, 0, "content", 0, "Other"),
    Ended(2, "succeeded", {0: "stop"}, {"0/content": 5}, Tokens(1, 1)),
]
FAILURE = Failure("inference.undeliverable", "unavailable", "It could not be handled.")


def held(world: World, **given: Any) -> GenerateText:
    """A command that an api process holds open."""
    command = world.command(**given)
    world.audience.waiting.add(command.request_id)
    return command


def a_stop(command: GenerateText) -> CancelGeneration:
    """A stop that somebody asked for."""
    return CancelGeneration(request_id=command.request_id, tenant=command.tenant, reason="asked")


async def test_living_owner_keeps_its_request(world: World) -> None:
    """A redelivery is handed back, unsettled, while the process that has it lives."""
    command = held(world)
    world.audience.owners.add(command.request_id)
    with pytest.raises(HandBack) as refused:
        await world.answer(command, redelivered=True)
    assert refused.value.delay > 0
    assert (world.records.rows, world.engine.calls) == ({}, [])


async def test_own_run_keeps_its_request(world: World) -> None:
    """A copy that comes to the process that runs it is handed back as well."""
    world.engine.script = [ANSWER[0], 30.0]
    command = held(world)
    running = world.begin(command)
    await until(lambda: command.request_id in world.registry.runs)
    with pytest.raises(HandBack):
        await world.answer(command, redelivered=True)
    running.cancel()


@pytest.mark.parametrize("given", [{"redelivered": True}, {"republished": True}])
async def test_request_of_a_dead_owner_is_claimed(world: World, given: dict[str, bool]) -> None:
    """The second attempt begins at 2; the lost one is booked."""
    world.engine.script = list(ANSWER)
    command = held(world, republished=given.get("republished", False))
    await world.answer(command, redelivered=given.get("redelivered", False))
    assert [end.attempt for end in world.records.ends] == [2]
    assert world.records.lost == [(command.request_id, 1)]
    assert world.audience.ends()[0].attempt == 2


async def test_ended_request_is_answered_from_its_row(world: World) -> None:
    """The client gets text and end again; nothing is generated or charged twice."""
    command = held(world)
    world.records.rows[command.request_id] = Row(2, "succeeded", frames=list(OTHERS))
    await world.answer(command, redelivered=True)
    assert world.audience.frames() == OTHERS
    assert (world.engine.calls, world.records.ends) == ([], [])


async def test_loser_tells_the_winners_end_and_books_its_cost(world: World) -> None:
    """Two attempts reach the row: the second says nothing of its own."""
    gate = asyncio.Event()
    world.engine.script = [ANSWER[0], gate, ANSWER[1]]
    command = held(world)
    running = world.begin(command)
    await until(lambda: world.audience.text() == "Hello")
    world.records.rows[command.request_id] = Row(2, "succeeded", frames=list(OTHERS))
    gate.set()
    await running
    assert world.audience.ends() == [OTHERS[1]]
    assert [(end.attempt, end.tokens) for end in world.records.costs] == [(1, USED.tokens)]
    assert world.records.ends == []


async def test_loser_keeps_the_command_for_an_attempt_that_runs(world: World) -> None:
    """The row is claimed and has no end: whoever claimed it may have handed it back, and an ack would lose it."""
    world.engine.script = list(ANSWER)
    command = held(world)
    world.records.rows[command.request_id] = Row(2, "running")
    with pytest.raises(HandBack):
        await world.answer(command)
    assert [(end.attempt, end.tokens) for end in world.records.costs] == [(1, USED.tokens)]
    assert world.audience.ends() == []


async def test_take_over_outlives_a_database_that_is_away_for_a_moment(world: World, monkeypatch: Any) -> None:
    """Between the claim and the engine: the client has a part of the answer, and must not hear of it."""
    command = held(world)

    async def away(_: object) -> bool:
        raise DatabaseUnavailable

    monkeypatch.setattr(world.records, "is_cancelled", away)
    with pytest.raises(HandBack):
        await world.answer(command, redelivered=True)
    assert (world.audience.frames(), world.records.ends) == ([], [])


async def test_frozen_api_process_is_no_client_that_left(world: World) -> None:
    """It answers nobody, and was heard a moment ago."""
    world.engine.script = list(ANSWER)
    await world.answer(world.command(), redelivered=True)
    assert world.outcomes == ["succeeded"]


async def test_client_that_left_before_the_take_over_costs_no_engine_call(world: World) -> None:
    """Its api process is gone, nobody else holds the request open, and it was not to be continued."""
    world.gone.add(API)
    await world.answer(world.command(), redelivered=True)
    assert (world.outcomes, world.engine.calls) == (["cancelled"], [])
    assert world.records.ends[0].decisions[-1].reason == "client_left"


async def test_continued_request_needs_no_client(world: World) -> None:
    """`x-penstock-on-disconnect: continue` runs to its end though nobody waits."""
    world.engine.script = list(ANSWER)
    await world.answer(world.command(on_disconnect=OnDisconnect.CONTINUE), redelivered=True)
    assert world.outcomes == ["succeeded"]


async def test_stop_before_its_request_begins(world: World) -> None:
    """A stop that overtook its command is remembered, with its reason."""
    command = world.command()
    await world.registry.on_cancel(a_stop(command))
    await world.answer(command)
    assert (world.outcomes, world.engine.calls) == (["cancelled"], [])
    assert world.records.ends[0].decisions[-1].reason == "asked"
    assert [end.outcome for end in world.audience.ends()] == [Outcome.CANCELLED]


async def test_stop_marked_before_an_old_command_begins(world: World) -> None:
    """Older than a second: the mark of a stop that this process never heard is looked for."""
    command = world.command(age=2.0)
    world.records.cancelled.add(command.request_id)
    await world.answer(command)
    assert (world.outcomes, world.engine.calls) == (["cancelled"], [])


async def test_stop_during_the_stream(world: World) -> None:
    """The engine call ends at once; what was generated is charged as partial, and recorded with the reason."""
    world.engine.script = [ANSWER[0], 30.0]
    command = world.command()
    running = world.begin(command)
    await until(lambda: world.audience.text() == "Hello")
    await world.registry.on_cancel(a_stop(command))
    await running
    [end] = world.records.ends
    assert (end.outcome, end.tokens.measure, world.engine.ended) == (Outcome.CANCELLED, "partial", 1)
    assert end.decisions[-1].reason == "asked"
    assert world.audience.ends() == [end.ended]


async def test_stop_during_the_commit_comes_too_late(world: World) -> None:
    """The first outcome wins: the answer is complete."""
    gate = asyncio.Event()
    world.engine.script = [ANSWER[0], gate, ANSWER[1]]
    command = world.command()
    running = world.begin(command)
    await until(lambda: world.audience.text() == "Hello")
    world.records.away = True
    gate.set()
    await until(lambda: world.engine.ended == 1)
    await world.registry.on_cancel(a_stop(command))
    world.records.away = False
    await running
    assert world.outcomes == ["succeeded"]


async def test_stopped_task_is_not_cancelled_any_more(world: World) -> None:
    """Whoever awaits after a stop, a settlement say, is not cancelled by what is left of it."""
    world.engine.script = [ANSWER[0], 30.0]
    command = world.command()

    async def handle() -> int:
        await world.generator.handle(command, redelivered=False)
        task = asyncio.current_task()
        assert task
        return task.cancelling()

    running = asyncio.create_task(handle())
    await until(lambda: world.audience.text() == "Hello")
    world.registry.runs[command.request_id].stop("asked")
    assert await running == 0


@pytest.mark.parametrize("claimed", [0, 2, 9])
async def test_buried_command_ends_as_failed_whatever_was_claimed(world: World, claimed: int) -> None:
    """The client hears it, and the row ends, also where more attempts were claimed than deliveries counted."""
    command = world.command()
    if claimed:
        world.records.rows[command.request_id] = Row(claimed, "running", "inference-dead")
    await world.generator.bury(command, FAILURE)
    assert world.outcomes == ["failed"]
    assert [end.failure for end in world.audience.ends()] == [FAILURE]
    assert world.records.rows[command.request_id].outcome == "failed"


async def test_buried_command_that_ended_keeps_its_end(world: World) -> None:
    """A burial is no second end."""
    command = world.command()
    world.records.rows[command.request_id] = Row(2, "succeeded", frames=list(OTHERS))
    await world.generator.bury(command, FAILURE)
    assert world.audience.frames() == OTHERS


async def test_registry_forgets_a_run_but_not_the_one_after_it(world: World) -> None:
    """Two claims of one request in one process: the end of the older one leaves the newer one findable."""
    world.engine.script = [ANSWER[0], 30.0]
    command = held(world)
    running = world.begin(command, redelivered=True)
    await until(lambda: command.request_id in world.registry.runs)
    older = world.registry.runs[command.request_id]
    newer = object()
    world.registry.runs[command.request_id] = newer  # type: ignore[assignment]
    world.registry.remove(older)
    assert world.registry.runs == {command.request_id: newer}
    running.cancel()


async def test_listener_that_attaches_gets_what_it_lacks_and_all_that_follows(world: World) -> None:
    """A second api process catches up by offset, and both hear the end."""
    gate = asyncio.Event()
    world.engine.script = [ANSWER[0], gate, ANSWER[1]]
    command = world.command()
    running = world.begin(command)
    await until(lambda: world.audience.text() == "Hello")
    world.registry.runs[command.request_id].attach("api-2", {"0/content": 3})
    gate.set()
    await running
    assert world.audience.text("api-2") == "___lo"
    assert world.audience.ends("api-2") == world.audience.ends(API)


async def test_only_the_owner_is_found(world: World) -> None:
    """A question by the owner itself, or about what does not run here, is not answered."""
    world.engine.script = [ANSWER[0], 30.0]
    command = world.command()
    running = world.begin(command)
    await until(lambda: command.request_id in world.registry.runs)
    find = FindGeneration(request_id=command.request_id, asking="inference-2")
    found = await world.registry.on_find(find)
    assert found
    assert (found.process, found.attempt) == (PROCESS, 1)
    assert await world.registry.on_find(FindGeneration(request_id=command.request_id, asking=PROCESS)) is None
    assert await world.registry.on_find(FindGeneration(request_id=command.tenant, asking="inference-2")) is None
    running.cancel()
