"""A first delivery: from command to end, whatever the engine does."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.generation import GenerateText, Measure, Outcome, Tokens
from penstock_common.contracts.stream import Delta, Ended, ToolCall
from penstock_common.messaging.delivery import HandBack
from penstock_inference.domain.errors import EngineCut, EngineOverloaded
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart, Used, WholeAnswer
from tests.support.generation_fakes import API, ESTIMATE, MODEL
from tests.unit.inference.generating.conftest import World, until

USED = Used(Tokens(3, 2))
DONE: list[EngineEvent] = [Finished(0, "stop"), USED]


def said(text: str, channel: str = "content") -> TextDelta:
    """Text of choice 0."""
    return TextDelta(0, channel, text)


async def test_streamed_answer_is_told_recorded_and_metered(world: World) -> None:
    """The client has the text and one end; the row has both; the engine's own count is charged."""
    world.engine.script = [[said("Hel")], [said("lo")], DONE]
    command = world.command()
    await world.answer(command)
    [end] = world.records.ends
    assert world.audience.text() == "Hello"
    assert world.audience.ends() == [
        Ended(1, "succeeded", {0: "stop"}, {"0/content": 5}, USED.tokens),
    ]
    assert end.frames == [Delta(1, 0, "content", 0, "Hello"), *world.audience.ends()]
    assert (end.attempt, end.tokens, end.place.price_version) == (1, USED.tokens, MODEL.price.version)


async def test_first_execution_claims_nothing(world: World) -> None:
    """The common case costs one statement: its end."""
    world.engine.script = [[said("x")], DONE]
    await world.answer(world.command())
    assert (world.records.lost, world.outcomes) == ([], ["succeeded"])


async def test_unstreamed_answer_leaves_whole(world: World) -> None:
    """The body is told once, with its end."""
    world.engine.script = [WholeAnswer(b'{"id":1}', Tokens(4, 6), {0: "length"}, "text")]
    await world.answer(world.command(streamed=False))
    assert world.audience.wholes() == [b'{"id":1}']
    assert [(e.finish, e.tokens) for e in world.audience.ends()] == [({0: "length"}, Tokens(4, 6))]


async def test_tool_calls_open_their_channel(world: World) -> None:
    """The call comes before its arguments, and its arguments have a channel of their own."""
    world.engine.script = [[ToolCallStart(0, 0, "c", "f"), said('{"a"', "tool.0")], [said(":1}", "tool.0")], DONE]
    await world.answer(world.command())
    assert world.audience.frames()[0] == ToolCall(1, 0, 0, "c", "f")
    assert world.audience.text(channel="tool.0") == '{"a":1}'


async def test_engine_without_counts_is_estimated(world: World) -> None:
    """Tokens are flagged as estimated."""
    world.engine.script = [[said("x")], [Finished(0, "stop")]]
    await world.answer(world.command())
    assert world.records.ends[0].tokens == ESTIMATE


async def test_engine_that_fails_before_its_first_token_costs_nothing(world: World) -> None:
    """The client is told the code, the sentence and when to come back."""
    world.engine.script = [EngineOverloaded("Too busy.", retry_after=9)]
    await world.answer(world.command())
    [told] = world.audience.ends()
    assert world.outcomes == ["failed"]
    assert (told.tokens, told.failure and told.failure.retry_after) == (Tokens(), 9)
    assert told.failure
    assert (told.failure.code, told.failure.message) == (EngineOverloaded.code, "Too busy.")


async def test_engine_that_fails_after_its_first_token_is_partial(world: World) -> None:
    """What was delivered is charged by estimate, flagged partial; the text stays."""
    world.engine.script = [[said("Hel")], EngineCut()]
    await world.answer(world.command())
    assert world.outcomes == ["partial"]
    assert world.records.ends[0].tokens == Tokens(ESTIMATE.prompt, ESTIMATE.completion, measure=Measure.PARTIAL)
    assert world.audience.text() == "Hel"
    assert [e.failure.code for e in world.audience.ends() if e.failure] == [EngineCut.code]


async def test_a_crash_is_told_without_its_words(world: World) -> None:
    """An error that is not ours tells the client nothing of the inside."""
    world.engine.script = [ValueError("secret of the inside")]
    await world.answer(world.command())
    [told] = world.audience.ends()
    assert told.failure
    assert told.failure.code == "inference.crashed"
    assert "secret" not in repr(world.audience.frames())


async def test_unknown_model_calls_no_engine(world: World) -> None:
    """A model that left the catalogue since ends the request as failed."""
    await world.answer(world.command(model="gone"))
    assert world.outcomes == ["failed"]
    assert world.engine.calls == []
    assert [e.failure.code for e in world.audience.ends() if e.failure] == ["inference.model_unknown"]


async def test_past_its_deadline_no_engine_is_called(world: World) -> None:
    """It ends expired, and costs nothing."""
    await world.answer(world.command(left=-1.0))
    assert (world.outcomes, world.engine.calls) == (["expired"], [])
    assert world.records.ends[0].tokens == Tokens()


@pytest.mark.parametrize(("script", "outcome"), [([30.0], "expired"), ([[said("Hel")], 30.0], "partial")])
async def test_deadline_ends_the_engine_call(world: World, script: list[object], outcome: str) -> None:
    """Before the first token it expired; after it, the client keeps what it has."""
    world.engine.script = list(script)  # type: ignore[arg-type]
    await world.answer(world.command(left=0.15))
    assert (world.outcomes, world.engine.ended) == ([outcome], 1)
    assert [e.failure.code for e in world.audience.ends() if e.failure] == ["inference.deadline_passed"]


async def test_erased_subject_calls_no_engine(world: World) -> None:
    """A body whose key is gone can't be answered, and is no crash."""
    command = world.command()
    world.sealer.keyring.erase(command.tenant)
    world.sealer.forget(command.tenant)
    await world.answer(command)
    assert [e.failure.code for e in world.audience.ends() if e.failure] == ["common.subject_erased"]
    assert world.engine.calls == []


async def test_database_away_refuses_before_the_engine_is_called(world: World) -> None:
    """The client hears it at once; the end is recorded when the database is back."""
    world.records.away = True
    running = world.begin(world.command())
    await until(world.audience.ends)
    assert [e.failure.code for e in world.audience.ends() if e.failure] == ["inference.records_unavailable"]
    world.records.away = False
    await running
    assert (world.outcomes, world.engine.calls) == (["failed"], [])


async def test_database_away_leaves_a_promise_on_the_bus(world: World) -> None:
    """What was accepted for good is not failed by an outage that passes: nothing is said, recorded or asked."""
    world.records.away = True
    with pytest.raises(HandBack) as back:
        await world.answer(world.command(is_promised=True))
    assert back.value.delay >= 15.0
    assert (world.audience.ends(), world.outcomes, world.engine.calls) == ([], [], [])


async def test_database_that_goes_away_at_the_first_question_breaks_no_promise(world: World) -> None:
    """Nor does one of which nobody knows yet that it is away: whether a stop was asked for can't be read."""
    world.records.away = world.records.unnoticed = True
    with pytest.raises(HandBack) as back:
        await world.answer(world.command(is_promised=True, age=2.0))
    assert back.value.delay >= 15.0
    assert (world.audience.ends(), world.outcomes, world.engine.calls) == ([], [], [])


async def test_end_waits_for_the_database_but_its_client_does_not_wait_for_ever(world: World) -> None:
    """Text flows on; after a bounded wait the client is told that its answer is unrecorded, and later its end."""
    world = replace(world, unrecorded_after=0.05)
    done = asyncio.Event()
    world.engine.script = [[said("Hello")], done, DONE]
    running = world.begin(world.command())
    await until(lambda: world.audience.text() == "Hello")
    world.records.away = True
    done.set()
    await until(world.audience.ends)
    assert [e.failure.code for e in world.audience.ends() if e.failure] == ["inference.unrecorded"]
    world.records.away = False
    await running
    assert [e.outcome for e in world.audience.ends()] == ["failed", "succeeded"]
    assert world.outcomes == ["succeeded"]


async def test_text_that_did_not_leave_is_told_again(world: World) -> None:
    """A bus that was away for a moment leaves no gap."""
    gate = asyncio.Event()
    world.engine.script = [[said("Hel")], gate, [said("lo")], DONE]
    world.audience.deaf = True
    running = world.begin(world.command())
    await asyncio.wait_for(world.engine.called.wait(), 3)
    world.audience.deaf = False
    gate.set()
    await running
    assert world.audience.text() == "Hello"


async def test_poison_end_is_the_deliverys_to_retry(world: World) -> None:
    """An end that can't be stored is no silent success: the error reaches whoever settles."""

    class OutOfRange(Exception):
        pass

    world.engine.script = [[said("x")], DONE]
    world.records.failure = OutOfRange()
    with pytest.raises(OutOfRange):
        await world.answer(world.command())
    assert not world.audience.ends()


async def test_nothing_is_said_as_ended_before_it_is_recorded(world: World) -> None:
    """The client saw the end ⇒ it is metered."""
    gate = asyncio.Event()
    world.engine.script = [[said("x")], gate, DONE]
    running = world.begin(world.command())
    await until(lambda: world.audience.text() == "x")
    world.records.away = True
    gate.set()
    await until(lambda: world.engine.ended == 1)
    await asyncio.sleep(0.02)
    assert world.audience.ends() == []
    world.records.away = False
    await running
    assert [e.outcome for e in world.audience.ends(API)] == [Outcome.SUCCEEDED]


async def test_a_stopping_process_hands_its_run_back(world: World) -> None:
    """A cancellation that is no stop leaves no end: another process takes over."""
    world.engine.script = [[said("x")], 30.0]
    running = world.begin(world.command())
    await until(lambda: world.audience.text() == "x")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (world.outcomes, world.audience.ends(), world.registry.runs) == ([], [], {})
    assert world.engine.ended == 1


@pytest.mark.parametrize("contract", [EmbedTexts, VectorizeTexts])
async def test_texts_are_embedded_not_answered(world: World, contract: type[GenerateText]) -> None:
    """By the same rules as an answer, and with their lane's precedence."""
    world.engine.script = [WholeAnswer(b'{"data":[]}', Tokens(4), {}, "")]
    command = contract(**msgspec.structs.asdict(world.command(streamed=False)))
    await world.answer(command)
    (call,) = world.engine.embedded
    assert call.background is (contract is VectorizeTexts)
    assert world.audience.wholes() == [b'{"data":[]}']
    assert (world.outcomes, world.records.ends[0].tokens) == (["succeeded"], Tokens(4))
