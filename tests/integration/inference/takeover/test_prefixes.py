"""What engines are sent that are to continue an answer, and what becomes of the rest that they say."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from penstock_common.contracts.generation import Tokens
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.continuing import Prefix
from penstock_inference.domain.errors import EngineRefused
from penstock_inference.ports import EngineCall
from tests.support.continuing_engine import PROMPT_TOKENS, TEXT, ContinuingEngine, words_of
from tests.support.engine_calls import Heard, a_call, a_model, heard

pytestmark = pytest.mark.integration

BEGUN, REST = TEXT[:31], TEXT[31:]
WORDS = len(words_of(BEGUN))
BASES = {"vllm": "/v1", "llamacpp": "/v1", "deepseek": "/beta", "anthropic": "/v1"}


def a_rest(engine: ContinuingEngine, dialect: str, begun: str = BEGUN, **body: Any) -> EngineCall:
    """A call for what follows a beginning."""
    call = a_call(a_model(dialect=dialect, url=engine.url(BASES[dialect]), upstream_model="theirs"), **body)
    return replace(call, prefix=Prefix(begun, WORDS))


async def rest_of(adapter: CompatibleEngine, engine: ContinuingEngine, dialect: str, **body: Any) -> Heard:
    """What an engine says after the beginning."""
    async with engine.serving():
        return await heard(adapter, a_rest(engine, dialect, **body))


@pytest.mark.parametrize("dialect", BASES)
@pytest.mark.parametrize("repeats", [False, True])
async def test_the_rest_and_nothing_but_the_rest(dialect: str, repeats: bool, adapter: CompatibleEngine) -> None:
    """Each strict engine takes the request as its own, and what it repeats is left out."""
    engine = ContinuingEngine(dialect, repeats=repeats)
    answer = await rest_of(adapter, engine, dialect, max_tokens=100)
    assert (answer.text, answer.finish) == (REST, {0: "stop"})
    assert answer.used == [Tokens(PROMPT_TOKENS + WORDS, len(words_of(REST)))]
    [(_, body)] = engine.asked
    assert body["messages"][:-1] == a_call(a_model()).body["messages"]
    assert body["messages"][-1]["content"] == BEGUN


@pytest.mark.parametrize("dialect", BASES)
@pytest.mark.parametrize(("limit", "left"), [(WORDS + 3, 3), (WORDS, 1), (1, 1)])
async def test_the_limit_is_what_is_left_of_it(dialect: str, limit: int, left: int, adapter: CompatibleEngine) -> None:
    """What was said before counts; where nothing is left by the estimate, one token more is said."""
    answer = await rest_of(adapter, ContinuingEngine(dialect), dialect, max_completion_tokens=limit)
    assert (answer.text, answer.finish) == ("".join(words_of(REST)[:left]), {0: "length"})


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp"])
async def test_what_the_client_asks_for_does_not_undo_it(dialect: str, adapter: CompatibleEngine) -> None:
    """Fields that pass through unread can't make the engine repeat itself or begin another message."""
    given = {"add_generation_prompt": True, "continue_final_message": False, "echo": True}
    assert (await rest_of(adapter, ContinuingEngine(dialect), dialect, **given)).text == REST


async def test_an_engine_that_takes_no_beginning_says_so(adapter: CompatibleEngine) -> None:
    """The refusal is known by name, so that another way can be taken."""
    engine = ContinuingEngine("thinking")
    async with engine.serving():
        with pytest.raises(EngineRefused, match="does not support assistant message prefill"):
            await heard(adapter, a_rest(engine, "anthropic"))


async def test_a_word_that_comes_twice_is_no_repetition(adapter: CompatibleEngine) -> None:
    """A short beginning may be what the answer goes on with."""
    engine = ContinuingEngine("vllm", ["ha ha ha"])
    async with engine.serving():
        assert (await heard(adapter, a_rest(engine, "vllm", "ha"))).text == " ha ha"
        assert (await heard(adapter, a_rest(engine, "vllm", " ha"))).text == "ha ha ha"


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    ("vllm", "/v1", {"continue_final_message": True}, "Cannot set both `continue_final_message`"),
    ("llamacpp", "/v1", {"continue_final_message": True, "add_generation_prompt": True}, "Cannot set both add_"),
    ("deepseek", "/v1", {"messages": [{"role": "assistant", "content": "x", "prefix": True}]}, "beta"),
    ("deepseek", "/beta", {"messages": [{"role": "user", "content": "x", "prefix": True}]}, "not the assistant's"),
    ("anthropic", "/v1", {"messages": [{"role": "assistant", "content": "x "}]}, "trailing whitespace"),
    ("anthropic", "/v1", {"n": 2}, "exactly 1"),
]


@pytest.mark.parametrize(("rule", "base", "body", "words"), WRONG)
async def test_the_engines_here_are_strict(rule: str, base: str, body: dict[str, Any], words: str) -> None:
    """They refuse what the real ones refuse; otherwise these tests would show nothing."""
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]} | body
    async with ContinuingEngine(rule).serving() as engine, httpx.AsyncClient(trust_env=False) as client:
        refused = await client.post(f"{engine.url(base)}/chat/completions", json=asked)
    assert refused.status_code == 400
    assert words in refused.json()["error"]["message"]
