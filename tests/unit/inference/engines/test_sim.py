"""The simulated engine: the same again, counted exactly, within the request's bounds."""

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_common.contracts.generation import Tokens
from penstock_common.errors import PenstockError
from penstock_inference.adapters.engines.sim.engine import SimulatedEngine
from penstock_inference.adapters.engines.sim.text import digest, sentences
from penstock_inference.domain.continuing import Prefix
from penstock_inference.domain.errors import (
    ContextTooLong,
    EngineCut,
    EngineFailed,
    EngineGarbled,
    EngineOverloaded,
    EngineRefused,
    EngineTimedOut,
)
from penstock_inference.domain.tokens import count_prompt, count_tokens, split_tokens
from tests.support.engine_calls import MESSAGES, Heard, a_call, a_sim, heard

PERSON = {
    "type": "object",
    "required": ["name", "age", "tags", "kind", "boss"],
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "tags": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "kind": {"enum": ["staff", "guest"]},
        "boss": {"anyOf": [{"$ref": "#/$defs/boss"}, {"type": "null"}]},
        "unwanted": {"type": "string"},
    },
    "$defs": {"boss": {"type": "object", "required": ["known"], "properties": {"known": {"type": "boolean"}}}},
}
TOOL = {"type": "function", "function": {"name": "save_person", "parameters": PERSON}}


@given(st.binary(max_size=16))
def test_every_word_is_a_token(seed: bytes) -> None:
    """The text's pieces are exactly the tokenizer's, 16 to 96 of them, in sentences."""
    pieces = sentences(digest(seed))
    assert pieces == list(split_tokens("".join(pieces)))
    assert 16 <= len(pieces) <= 96
    assert re.fullmatch(r"[A-Z][a-z]+( [A-Za-z]+|\.)*\.", "".join(pieces))


async def test_the_same_request_gives_the_same_answer(sim: SimulatedEngine) -> None:
    """Streamed or not, whatever the temperature; another seed, prompt or model gives another."""
    first = (await sim.complete(a_call(a_sim(), temperature=0.1))).text
    assert (await heard(sim, a_call(a_sim(), temperature=1.9, seed=0))).text == first
    sea = [{"role": "user", "content": "Tell me about the sea."}]
    others = (a_call(a_sim(), seed=1), a_call(a_sim(), messages=sea), a_call(a_sim("flaky"), seed=0))
    assert len({first, *[(await heard(sim, call)).text for call in others]}) == 4


BODIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "short": {"max_tokens": 5},
    "shorter of two": {"max_tokens": 9, "max_completion_tokens": 3},
    "stopped": {"stop": [" river", " the", "."]},
    "several": {"n": 3, "seed": 4},
    "object": {"response_format": {"type": "json_object"}},
    "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}}},
    "tool": {"tools": [TOOL], "tool_choice": "required"},
    "tool cut": {"tools": [TOOL], "tool_choice": "required", "max_tokens": 4},
    "no room for a tool": {"tools": [TOOL], "tool_choice": "required", "max_tokens": 1},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url"}]}]},
}


@pytest.mark.parametrize("name", BODIES)
async def test_counts_are_exact(name: str, sim: SimulatedEngine) -> None:
    """Usage is what the tokenizer counts in the prompt and in everything generated, streamed or not."""
    answer = await heard(sim, a_call(a_sim(), **BODIES[name]))
    whole = await sim.complete(a_call(a_sim(), **BODIES[name]))
    generated = [*answer.texts.values(), *(call[3] for call in answer.calls)]
    assert answer.used == [whole.tokens]
    assert answer.used[0].completion == sum(map(count_tokens, generated))
    assert answer.used[0].prompt == count_prompt({"messages": MESSAGES, **BODIES[name]})
    assert json.loads(whole.body)["usage"]["completion_tokens"] == answer.used[0].completion


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 33])
async def test_the_limit_is_kept(limit: int, sim: SimulatedEngine) -> None:
    """Never more tokens than allowed; a text cut short says so."""
    full = await heard(sim, a_call(a_sim(), seed=2))
    answer = await heard(sim, a_call(a_sim(), seed=2, max_tokens=limit))
    assert answer.used[0].completion == min(limit, full.used[0].completion)
    assert full.text.startswith(answer.text)
    assert answer.finish == {0: "length" if limit < full.used[0].completion else "stop"}


async def test_stop_sequences_end_the_text_before_them(sim: SimulatedEngine) -> None:
    """Also in the middle of a word."""
    full = (await sim.complete(a_call(a_sim()))).text
    stop = full[20:23]
    assert (await sim.complete(a_call(a_sim(), stop=stop))).text == full[: full.index(stop)]
    assert (await sim.complete(a_call(a_sim(), stop=["never said", "."]))).text == full[: full.index(".")]


async def test_choices_differ(sim: SimulatedEngine) -> None:
    """Several choices are several answers, the first of them the only one of a single choice."""
    answer = await heard(sim, a_call(a_sim(), n=3))
    assert len(set(answer.texts.values())) == len(answer.finish) == 3
    assert answer.text == (await sim.complete(a_call(a_sim()))).text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "save_person"}}])
async def test_forced_tools_are_called(choice: Any, sim: SimulatedEngine) -> None:
    """With arguments that fit the schema's required properties."""
    answer = await heard(sim, a_call(a_sim(), tools=[TOOL], tool_choice=choice))
    ((_, index, id_, name),) = answer.calls
    person = json.loads(answer.texts[0, f"tool.{index}"])
    assert (name, answer.finish, id_[:5]) == ("save_person", {0: "tool_calls"}, "call_")
    assert (set(person), person["age"], person["kind"]) == (set(PERSON["required"]), 18, "staff")
    assert (person["boss"], len(person["tags"])) == ({"known": True}, 1)


async def test_tools_are_left_alone_unless_forced(sim: SimulatedEngine) -> None:
    """`auto` answers with text."""
    answer = await heard(sim, a_call(a_sim(), tools=[TOOL], tool_choice="auto"))
    assert (answer.calls, answer.finish) == ([], {0: "stop"})


@pytest.mark.parametrize("name", ["object", "schema"])
async def test_json_is_json(name: str, sim: SimulatedEngine) -> None:
    """Where an object is asked for, the text is one."""
    assert isinstance(json.loads((await sim.complete(a_call(a_sim(), **BODIES[name]))).text), dict)


async def test_logprobs_come_with_each_token(sim: SimulatedEngine) -> None:
    """One entry a token, saying which."""
    answer = await heard(sim, a_call(a_sim(), logprobs=True))
    entries = [entry for given in answer.logprobs for entry in json.loads(given)]
    assert "".join(entry["token"] for entry in entries) == answer.text
    body = json.loads((await sim.complete(a_call(a_sim(), logprobs=True))).body)
    assert body["choices"][0]["logprobs"]["content"] == entries


async def test_a_prompt_beyond_the_context_is_refused(sim: SimulatedEngine) -> None:
    """As a real engine would; large prompts are counted off the loop."""
    long = [{"role": "user", "content": "word " * 20_000}]
    with pytest.raises(ContextTooLong, match="takes 1000"):
        await sim.complete(a_call(a_sim(context_tokens=1000), messages=long))
    assert (await sim.complete(a_call(a_sim(), messages=long))).tokens.prompt > 20_000  # type: ignore[union-attr]


async def test_slow_is_twenty_tokens_a_second(sim: SimulatedEngine) -> None:
    """One by one, evenly, streamed or not."""
    for streamed in (True, False):
        began = time.monotonic()
        call = a_call(a_sim("slow"), max_tokens=8)
        answer = await heard(sim, call) if streamed else await sim.complete(call)
        assert 0.38 < time.monotonic() - began < 2
        assert not isinstance(answer, Heard) or set(answer.blocks[:-1]) == {1}


MISHAPS: list[tuple[int, type[PenstockError], bool]] = [
    (5, EngineFailed, False),
    (6, EngineOverloaded, False),
    (7, EngineTimedOut, True),
    (8, EngineCut, True),
    (19, EngineGarbled, True),
]


@pytest.mark.parametrize(("seed", "raised", "produced"), MISHAPS)
async def test_flaky_fails_by_its_seed(
    seed: int, raised: type[PenstockError], produced: bool, sim: SimulatedEngine
) -> None:
    """The last digit says how; some failures leave half of the text, which is the text of the same seed."""
    answer = Heard()
    with pytest.raises(raised):
        await heard(sim, a_call(a_sim("flaky"), seed=seed), answer)
    with pytest.raises(raised):
        await sim.complete(a_call(a_sim("flaky"), seed=seed))
    assert bool(answer.text) is produced


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 10])
async def test_flaky_is_fine_half_of_the_time(seed: int, sim: SimulatedEngine) -> None:
    """Other seeds give whole answers; without a seed the prompt decides, always the same."""
    assert (await heard(sim, a_call(a_sim("flaky"), seed=seed))).finish == {0: "stop"}


async def test_an_answer_costs_little(sim: SimulatedEngine) -> None:
    """Little processor time, so that benchmarks measure the platform: 0.04 ms where measured."""
    call = a_call(a_sim())
    await sim.complete(call)
    began = time.process_time()
    for _ in range(200):
        await sim.complete(call)
    assert (time.process_time() - began) / 200 < 0.0005


async def test_it_makes_no_vectors(sim: SimulatedEngine) -> None:
    """It says who does."""
    with pytest.raises(EngineRefused, match="local/all-minilm-l6-v2"):
        await sim.embed(a_call(a_sim(), input="a"))


@pytest.mark.parametrize("limit", [20, None])
async def test_a_beginning_is_continued(limit: int | None, sim: SimulatedEngine) -> None:
    """Wherever it ends: the rest of the very answer, whose counts add up to those of the uncut one."""
    whole = await heard(sim, a_call(a_sim(), seed=2, max_tokens=limit))
    for cut in (1, 7, len(whole.text) - 3, len(whole.text)):
        begun = whole.text[:cut]
        call = a_call(a_sim(), seed=2, max_tokens=limit)
        rest = await heard(sim, replace(call, prefix=Prefix(begun, count_tokens(begun))))
        assert (begun + rest.text, rest.finish) == (whole.text, whole.finish)
        assert sum_of(rest.used[0]) == sum_of(whole.used[0])
        assert rest.used[0].prompt == whole.used[0].prompt + whole.used[0].completion - rest.used[0].completion


async def test_a_beginning_that_it_would_not_have_said_is_followed_by_everything(sim: SimulatedEngine) -> None:
    """As a model would, it goes on in its own words."""
    whole = await heard(sim, a_call(a_sim(), seed=2))
    rest = await heard(sim, replace(a_call(a_sim(), seed=2), prefix=Prefix("Once upon a time", 4)))
    assert rest.text == whole.text
    assert rest.used[0].prompt == whole.used[0].prompt + 4


def sum_of(tokens: Tokens) -> int:
    """Prompt and completion."""
    return tokens.prompt + tokens.completion
