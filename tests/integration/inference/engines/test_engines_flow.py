"""What the OpenAI-compatible adapter sends, keeps open, and ends."""

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from penstock_common.contracts.generation import Tokens
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.errors import EngineCut, EngineRefused
from tests.support.engine_calls import MESSAGES, a_call, a_model, heard
from tests.support.engine_fake import Answer, End, FakeEngine, chunk, completion, event, stream, usage_chunk

DONE_AFTER = (chunk(content="hi"), chunk(finish="stop"))
HOLDS = Answer([event(chunk(content="hi"))], end=End.HANG)


async def test_calls_without_id_or_arguments(upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """A call without arguments is announced at the end; one without an id gets one."""
    upstream.will(stream(chunk(tool_calls=[{"index": 0, "function": {"name": "look"}}]), chunk(finish="tool_calls")))
    ((choice, index, id_, name),) = (await heard(engine, a_call(model))).calls
    assert (choice, index, name) == (0, 0, "look")
    assert id_.startswith("call_")


async def test_choices_and_channels_stay_apart(upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """Several choices, reasoning under both of its names, refusals; the answer ends when all choices have."""
    parts = (
        chunk(0, content="a"),
        chunk(1, reasoning_content="b"),
        chunk(0, finish="stop"),
        chunk(1, reasoning="c", content="d"),
        chunk(1, refusal="e"),
        chunk(1, finish="length"),
    )
    upstream.will(stream(*parts, done=False))
    answer = await heard(engine, a_call(model, n=2))
    assert answer.texts == {(0, "content"): "a", (1, "reasoning"): "bc", (1, "content"): "d", (1, "refusal"): "e"}
    assert answer.finish == {0: "stop", 1: "length"}


async def test_logprobs_are_passed_on(upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """The engine's entries come beside their text, unread; null is none."""
    given = chunk(content="hi")
    given["choices"][0]["logprobs"] = {"content": [{"token": "hi", "logprob": -0.5}]}
    none = chunk(content="!")
    none["choices"][0]["logprobs"] = {"content": None}
    upstream.will(stream(given, none, chunk(finish="stop")))
    assert (await heard(engine, a_call(model))).logprobs == [b'[{"token":"hi","logprob":-0.5}]']


async def test_the_request_is_the_clients_with_our_fields(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """The engine gets its own model name, its key, our streaming options, and no header of the client."""
    upstream.will(stream(*DONE_AFTER), completion("hi"))
    await heard(engine, a_call(model, temperature=0.5, stream_options={"include_usage": False}, top_k=3))
    await engine.complete(a_call(model, stream=True))
    streamed, whole = upstream.asked
    assert streamed.headers["authorization"] == "Bearer sk-engine"
    assert streamed.body == {
        "model": "upstream",
        "messages": MESSAGES,
        "temperature": 0.5,
        "top_k": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert whole.body == {"model": "upstream", "messages": MESSAGES, "stream": False}


async def test_dialects_reach_the_wire(upstream: FakeEngine, engine: CompatibleEngine) -> None:
    """An engine gets the one name of the limit that it knows; what it can't do is refused before it is asked."""
    model = a_model(url=upstream.url, dialect="ollama")
    upstream.will(completion("hi"))
    await engine.complete(a_call(model, max_completion_tokens=9, store=True))
    assert upstream.asked[0].body["max_tokens"] == 9
    assert not {"max_completion_tokens", "store"} & set(upstream.asked[0].body)
    with pytest.raises(EngineRefused, match="set n to 1"):
        await engine.complete(a_call(model, n=2))
    assert len(upstream.asked) == 1


async def test_whole_answers_keep_the_engines_body(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """Body, counts, finish reasons, and all text for an estimate."""
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    answer = completion("hi ", {"prompt_tokens": 4, "completion_tokens": 3}, reasoning="hm ", tool_calls=[call])
    upstream.will(answer)
    whole = await engine.complete(a_call(model))
    assert whole.body == b"".join(piece for piece in answer.pieces if isinstance(piece, bytes))
    assert (whole.tokens, whole.finish, whole.text) == (Tokens(4, 3), {0: "stop"}, "hm hi look{}")


async def test_whole_answers_are_streamed_where_the_engine_looks_only_when_it_writes(
    upstream: FakeEngine, engine: CompatibleEngine
) -> None:
    """Texts, calls, logprobs, counts and the engine's own members are put together as it would say them at once."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": "{"}}
    upstream.will(
        stream(
            chunk(role="assistant", content=None, reasoning_content="Hm."),
            chunk(tool_calls=[call]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
            chunk(finish="tool_calls"),
            usage_chunk(4, 3) | {"timings": {"x": 1.5}},
        )
    )
    whole = await engine.complete(a_call(a_model(url=upstream.url, upstream_model="tiny", dialect="llamacpp")))
    assert upstream.asked[0].body["stream"] is True
    called = {"type": "function", "function": {"name": "look", "arguments": "{}"}, "id": "a"}
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [called]}
    said = msgspec.json.decode(whole.body)
    assert said["choices"] == [{"finish_reason": "tool_calls", "index": 0, "message": message}]
    assert (said["object"], said["timings"], said["model"]) == ("chat.completion", {"x": 1.5}, "m")
    assert (whole.tokens, whole.finish, whole.text) == (Tokens(4, 3), {0: "tool_calls"}, "lookHm.{}")


async def test_closing_the_stream_ends_the_engines_call(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """The engine's connection closes at once when nobody wants the rest."""
    upstream.will(HOLDS)
    async with aclosing(engine.stream(a_call(model))) as events:
        await anext(events)
        assert not upstream.left.is_set()
    await asyncio.wait_for(upstream.left.wait(), 1)


@pytest.mark.parametrize("streamed", [True, False])
async def test_cancelling_ends_the_engines_call(
    streamed: bool, upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """So does the end of the task that waits."""
    upstream.will(Answer(end=End.HANG))
    task = asyncio.create_task(heard(engine, a_call(model)) if streamed else engine.complete(a_call(model)))
    while not upstream.asked:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait_for(upstream.left.wait(), 1)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_connections_are_used_again(upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """Answers read to their end leave a connection behind, also where that end comes a moment after [DONE]."""
    for _ in range(3):
        answer = stream(*DONE_AFTER, usage_chunk(1, 1))
        upstream.will(Answer([*answer.pieces, 0.005]), completion("hi"))
        await heard(engine, a_call(model))
        await engine.complete(a_call(model))
    assert upstream.connections == 1


async def test_a_connection_that_the_engine_left_costs_no_request(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """llama.cpp closes after each stream without a word: the next request, sent at once, goes out again."""
    left = Answer(stream(*DONE_AFTER).pieces, end=End.LEAVE)
    upstream.will(*(left for _ in range(5)), stream(*DONE_AFTER), Answer(end=End.SILENT), left)
    for _ in range(7):
        assert (await heard(engine, a_call(model))).text == "hi"


async def test_only_a_kept_connection_is_forgiven_and_only_at_once(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model
) -> None:
    """An engine that dies of a request, on a new connection or after a while, is not asked again."""
    upstream.will(Answer(end=End.SILENT), stream(*DONE_AFTER), Answer([1.2], end=End.SILENT))
    with pytest.raises(EngineCut):
        await heard(engine, a_call(model))
    await heard(engine, a_call(model))
    with pytest.raises(EngineCut):
        await heard(engine, a_call(model))
    assert (len(upstream.asked), upstream.connections) == (3, 2)


async def test_proxies_of_the_machine_are_not_used(
    upstream: FakeEngine, engine: CompatibleEngine, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines live where the catalogue says, whatever the shell's proxy settings are."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    upstream.will(completion("hi"))
    assert (await engine.complete(a_call(model))).text == "hi"


async def test_a_hundred_streams_at_once(upstream: FakeEngine, engine: CompatibleEngine, model: Model) -> None:
    """Nothing limits how many calls run side by side but the slots above."""
    paced = [x for n in range(5) for x in (event(chunk(content=str(n))), 0.02)]
    upstream.will(*(Answer([*paced, event(chunk(finish="stop"))]) for _ in range(100)))
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(heard(engine, a_call(model)) for _ in range(100)))
    assert {answer.text for answer in answers} == {"01234"}
