"""A second attempt at an answer of which the client has a part."""

from typing import Any

import msgspec
import pytest

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import CancelGeneration, GenerateText, Measure, Tokens
from penstock_common.contracts.stream import Delta, Frame
from penstock_common.messaging.delivery import HandBack
from penstock_inference.domain.continuing import Prefix
from penstock_inference.domain.ending import End
from penstock_inference.domain.errors import EngineFailed, EngineRefused
from penstock_inference.domain.takeover import Held, output_of
from penstock_inference.ports import EngineEvent, Finished, TextDelta, Used, WholeAnswer
from tests.support.generation_fakes import ESTIMATE, MODEL, Step
from tests.unit.inference.generating.conftest import World, until

DELIVERED: list[Frame] = [Delta(1, 0, "content", 0, "Half of")]
USED = Used(Tokens(30, 2))
THE_REST: list[EngineEvent] = [TextDelta(0, "content", " it."), Finished(0, "stop"), USED]
THE_WHOLE: list[EngineEvent] = [TextDelta(0, "content", "Half of it."), Finished(0, "stop"), USED]
OTHERWISE: list[Step] = [[TextDelta(0, "content", "Half")], [TextDelta(0, "content", " a loaf."), Finished(0, "stop")]]
ROUTED = Decision("route", "openai-compatible:upstream", "provider vllm", 7)
PARTIAL = Tokens(ESTIMATE.prompt, ESTIMATE.completion, measure=Measure.PARTIAL)


def holding(world: World, *, restarts: bool = False, **given: Any) -> GenerateText:
    """A request whose client has the delivered text."""
    command = world.command(**given)
    world.audience.holds[command.request_id] = Held(output_of(DELIVERED), restarts)
    return command


async def taken_over(world: World, command: GenerateText) -> End:
    """The end of its second attempt."""
    await world.answer(command, redelivered=True)
    [end] = world.records.ends
    assert end.attempt == 2
    return end


def verifying(world: World, **body: Any) -> GenerateText:
    """A request at a model whose answers are generated again."""
    world.model = msgspec.structs.replace(MODEL, take_over="verify")
    command = holding(world)
    sealed = world.sealer.seal(command.tenant, str(command.request_id), msgspec.json.encode({"messages": [], **body}))
    return msgspec.structs.replace(command, sealed=sealed)


async def test_the_engine_continues_and_the_answer_is_one(world: World) -> None:
    """It is given what the client has; text, row and price are of the whole answer, the price estimated."""
    world.engine.script = [THE_REST]
    end = await taken_over(world, holding(world))
    assert world.engine.calls[0].prefix == Prefix("Half of", ESTIMATE.completion)
    assert (end.outcome, world.audience.text()) == ("succeeded", "Half of it.")
    assert end.frames[0] == Delta(2, 0, "content", 0, "Half of it.")
    assert end.tokens == Tokens(30 - ESTIMATE.completion, 2 + ESTIMATE.completion, measure=Measure.ESTIMATED)
    assert end.decisions == [Decision("take_over", "continue", "prefix"), ROUTED, Decision("generate", "succeeded")]


async def test_what_is_generated_again_is_not_charged_twice(world: World) -> None:
    """A verified regeneration costs what its engine measured."""
    world.engine.script = [THE_WHOLE]
    end = await taken_over(world, verifying(world, temperature=0))
    assert (end.outcome, end.tokens, world.audience.text()) == ("succeeded", USED.tokens, "Half of it.")
    assert world.engine.calls[0].prefix == Prefix()
    assert end.decisions[0] == Decision("take_over", "verify", "temperature")


@pytest.mark.parametrize("script", [OTHERWISE, [[TextDelta(0, "content", "Half"), Finished(0, "stop")]], [THE_REST]])
async def test_another_answer_ends_it_where_it_was_cut(script: list[Step], world: World) -> None:
    """Nothing of the other text is told; what was delivered is recorded and charged, and the error is honest."""
    world.engine.script = script
    end = await taken_over(world, verifying(world, seed=7))
    assert end.failure
    assert (end.outcome, end.failure.code) == ("partial", "inference.answer_diverged")
    assert (world.audience.text(), end.ended.lengths, end.tokens) == ("Half of", {"0/content": 7}, PARTIAL)
    assert (world.audience.ends(), world.engine.ended) == ([end.ended], 1)


async def test_what_can_not_be_told_again_ends_without_an_engine(world: World) -> None:
    """An honest error, and the charge is what was delivered."""
    end = await taken_over(world, verifying(world))
    assert end.failure
    assert (end.outcome, end.failure.code, world.engine.calls) == ("partial", "inference.answer_cut", [])
    assert (world.audience.text(), end.tokens) == ("Half of", PARTIAL)
    assert end.decisions[0] == Decision("take_over", "give_up", "not_deterministic")


async def test_a_client_that_restarts_gets_a_new_answer(world: World) -> None:
    """It is generated anew, from its first character."""
    world.engine.script = OTHERWISE
    world.model = msgspec.structs.replace(MODEL, take_over="verify")
    end = await taken_over(world, holding(world, restarts=True))
    assert (end.outcome, world.audience.text()) == ("succeeded", "Half a loaf.")
    assert end.decisions[0] == Decision("take_over", "restart", "client_restarts")


async def test_an_engine_that_refuses_the_beginning_is_asked_otherwise(world: World) -> None:
    """Here nothing else is left; that is said, and the trail has both decisions."""
    world.engine.script = [EngineRefused("no prefill with thinking")]
    end = await taken_over(world, holding(world))
    assert end.failure
    assert (end.failure.code, len(world.engine.calls)) == ("inference.answer_cut", 1)
    assert [decision.reason for decision in end.decisions[:2]] == ["prefix", "engine_refused"]


async def test_an_engine_that_fails_leaves_what_was_delivered(world: World) -> None:
    """Partial, with the engine's own error; never an empty failure."""
    world.engine.script = [EngineFailed()]
    end = await taken_over(world, holding(world))
    assert end.failure
    assert (end.outcome, end.failure.code, end.tokens) == ("partial", "inference.engine_failed", PARTIAL)
    assert world.audience.text() == "Half of"


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_stop_keeps_what_was_delivered(when: str, world: World) -> None:
    """Marked before the take-over or heard while the engine goes on: the text so far is the answer."""
    world.engine.script = [30.0]
    command = holding(world)
    if when == "before":
        world.records.cancelled.add(command.request_id)
        await world.answer(command, redelivered=True)
    else:
        running = world.begin(command, redelivered=True)
        await until(world.engine.called.is_set)
        stop = CancelGeneration(request_id=command.request_id, tenant=command.tenant, reason="asked")
        await world.registry.on_cancel(stop)
        await running
    [end] = world.records.ends
    assert (end.outcome, end.tokens, world.audience.text()) == ("cancelled", PARTIAL, "Half of")
    assert len(world.engine.calls) == (when == "during")


async def test_a_deadline_that_passed_meanwhile_keeps_what_was_delivered(world: World) -> None:
    """What the client has is charged, though nothing more is generated."""
    end = await taken_over(world, holding(world, left=-1.0))
    assert end.failure
    assert (end.outcome, end.failure.code, end.tokens) == ("partial", "inference.deadline_passed", PARTIAL)
    assert world.engine.calls == []


async def test_nothing_is_decided_while_nobody_can_be_asked(world: World) -> None:
    """Without the bus the command is handed back: another delivery of it finds out."""
    command = holding(world)
    world.audience.away = True
    with pytest.raises(HandBack):
        await world.answer(command, redelivered=True)
    assert (world.records.ends, world.engine.calls, world.registry.runs) == ([], [], {})


async def test_an_unstreamed_answer_begins_anew(world: World) -> None:
    """Nothing of it was delivered, so nobody is asked."""
    world.engine.script = [WholeAnswer(b"{}", USED.tokens, {0: "stop"}, "whole")]
    world.audience.away = True
    command = world.command(streamed=False)
    world.audience.waiting.add(command.request_id)
    end = await taken_over(world, command)
    assert (end.outcome, end.decisions) == ("succeeded", [ROUTED, Decision("generate", "succeeded")])


async def test_a_stream_without_a_word_begins_anew(world: World) -> None:
    """Whatever the policy: a client that has nothing can be told anything."""
    world.engine.script = OTHERWISE
    world.model = msgspec.structs.replace(MODEL, take_over="fail")
    command = world.command()
    world.audience.waiting.add(command.request_id)
    end = await taken_over(world, command)
    assert (world.audience.text(), end.decisions[0].reason) == ("Half a loaf.", "nothing_delivered")
