"""What llama.cpp says, read by the adapter: text, counts, seeds, and its refusals by name."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.errors import ContextTooLong, EngineKeyRefused, EngineRefused
from tests.integration.inference.llama.conftest import llama_model
from tests.support.engine_calls import a_call, heard
from tests.support.llama import KEY, SLOT_TOKENS, SLOTS
from tests.support.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("llama"), pytest.mark.timeout(1800)]

TOO_LONG = [{"role": "user", "content": "the water " * SLOT_TOKENS}]


async def test_a_stream_comes_in_pieces_with_the_engines_own_counts(engine: CompatibleEngine, model: Model) -> None:
    """Each token is a piece, the limit is the reason of the end, and usage is what the engine counted."""
    answer = await heard(engine, a_call(model, max_tokens=40, seed=1))
    assert answer.deltas == 40
    assert answer.finish == {0: "length"}
    assert answer.used[-1].completion == 40
    assert answer.used[-1].prompt > 20
    assert 0 <= answer.used[-1].cached <= answer.used[-1].prompt


async def test_the_same_seed_gives_the_same_text(engine: CompatibleEngine, model: Model) -> None:
    """Streamed or whole, a seed decides the text; another seed gives another one."""
    await heard(engine, a_call(model, max_tokens=1))  # the prompt's cache is warm from now on
    texts = [(await heard(engine, a_call(model, max_tokens=60, seed=seed))).text for seed in (5, 5, 6)]
    whole = await engine.complete(a_call(model, max_tokens=60, seed=5))
    assert texts[0] == texts[1] == whole.text != texts[2]
    assert len(texts[0]) >= 60


async def test_a_whole_answer_keeps_counts_and_body(engine: CompatibleEngine, model: Model) -> None:
    """An unstreamed answer is the engine's own body."""
    whole = await engine.complete(a_call(model, max_tokens=9, seed=3))
    assert whole.finish == {0: "length"}
    assert whole.tokens is not None
    assert whole.tokens.completion == 9
    assert msgspec.json.decode(whole.body)["choices"][0]["message"]["content"] == whole.text


@pytest.mark.parametrize("more", [{}, {"logprobs": True, "top_logprobs": 2}, {"stop": [" the"]}], ids=str)
async def test_a_whole_answer_is_what_the_engine_says_unstreamed(
    more: dict[str, Any], engine: CompatibleEngine, model: Model, llama: Server
) -> None:
    """Member by member, though it was streamed; only the id and what time it took are of its own."""
    call = a_call(model, max_tokens=30, seed=7, **more)
    await engine.complete(call)  # the prompt's cache is warm from now on
    ours = msgspec.json.decode((await engine.complete(call)).body)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, trust_env=False) as client:
        asked = call.body | {"model": "tiny"}
        theirs = (await client.post(f"{llama.url}/chat/completions", json=asked)).json()
    assert set(ours["timings"]) == set(theirs["timings"])
    own = {"id", "created", "timings"}
    assert {k: v for k, v in ours.items() if k not in own} == {k: v for k, v in theirs.items() if k not in own}
    assert set(ours) == set(theirs)


async def test_a_stop_word_ends_the_answer(engine: CompatibleEngine, model: Model) -> None:
    """The engine stops before the word, says so, and counts fewer tokens than it was allowed."""
    unstopped = await heard(engine, a_call(model, max_tokens=200, seed=11))
    word = unstopped.text[100:103]
    stopped = await heard(engine, a_call(model, max_tokens=200, seed=11, stop=[word]))
    assert stopped.text == unstopped.text[: unstopped.text.index(word)]
    assert stopped.finish == {0: "stop"}
    assert stopped.used[-1].completion < 200


async def test_logprobs_of_every_token_arrive(engine: CompatibleEngine, model: Model) -> None:
    """The engine's probabilities are passed on as they are."""
    answer = await heard(engine, a_call(model, max_tokens=5, seed=2, logprobs=True, top_logprobs=2))
    entries = [entry for raw in answer.logprobs for entry in msgspec.json.decode(raw)]
    assert "".join(entry["token"] for entry in entries) == answer.text
    assert all(len(entry["top_logprobs"]) == 2 and entry["logprob"] <= 0 for entry in entries)


async def test_more_streams_than_slots_all_come_to_their_end(engine: CompatibleEngine, model: Model) -> None:
    """The engine lets some wait; each gets all of its tokens."""
    calls = [a_call(model, max_tokens=30, seed=number) for number in range(4 * SLOTS)]
    answers = await asyncio.wait_for(asyncio.gather(*(heard(engine, call) for call in calls)), 60)
    assert [answer.used[-1].completion for answer in answers] == [30] * len(calls)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_prompt_beyond_the_context_is_named(streamed: bool, engine: CompatibleEngine, model: Model) -> None:
    """The refusal carries the engine's own numbers."""
    call = a_call(model, messages=TOO_LONG)
    with pytest.raises(ContextTooLong, match=rf"exceeds the available context size \({SLOT_TOKENS} tokens\)"):
        await (heard(engine, call) if streamed else engine.complete(call))


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_the_engine_cant_do_is_refused(streamed: bool, engine: CompatibleEngine, model: Model) -> None:
    """A request that makes no sense to the engine is the client's fault, in the engine's words."""
    call = a_call(model, response_format={"type": "poem"})
    with pytest.raises(EngineRefused, match="response_format"):
        await (heard(engine, call) if streamed else engine.complete(call))


async def test_a_wrong_key_is_the_operators_fault(engine: CompatibleEngine, llama: Server) -> None:
    """The engine refuses the key, and the client is told who can mend it."""
    with pytest.raises(EngineKeyRefused) as raised:
        await engine.complete(a_call(llama_model(llama, secret="WRONG_KEY")))
    assert "operator" in raised.value.message
