"""A cut answer goes on at llama.cpp: continued by its prefix, or generated again and compared."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.continuing import Prefix
from penstock_inference.domain.output import Output
from penstock_inference.domain.takeover import AnswerDiverged
from penstock_inference.generating.verification import Verification
from penstock_inference.ports import EngineCall, TextDelta
from tests.support.engine_calls import MESSAGES, a_call, heard
from tests.support.llama import HEADERS
from tests.support.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("llama"), pytest.mark.timeout(1800)]

TOKENS, CUT = 60, 25
GREEDY = {"temperature": 0, "max_tokens": TOKENS}


async def whole(engine: CompatibleEngine, model: Model, **body: Any) -> str:
    """An answer; the prompt's cache is warm before it, as it is in a take-over."""
    await heard(engine, a_call(model, max_tokens=1))
    return (await heard(engine, a_call(model, **body))).text


async def continued(model: Model, begun: str) -> str:
    """An answer that was begun, as the server itself completes it: unstreamed it says the beginning too."""
    body = GREEDY | {"model": "tiny", "max_tokens": TOKENS - CUT, "add_generation_prompt": False}
    messages = [*MESSAGES, {"role": "assistant", "content": begun}]
    async with httpx.AsyncClient(trust_env=False, headers=HEADERS, timeout=60) as client:
        answer = await client.post(
            f"{model.url}/chat/completions", json=body | {"messages": messages, "continue_final_message": True}
        )
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("members", [{}, {"echo": True}, {"continue_final_message": False}])
async def test_a_prefix_is_continued_and_never_repeated(
    members: dict[str, Any], engine: CompatibleEngine, model: Model
) -> None:
    """The rest follows what was delivered, within the limit, whatever the client asks for."""
    begun = (await whole(engine, model, **GREEDY))[:40]
    rest = await heard(engine, replace(a_call(model, **GREEDY | members), prefix=Prefix(begun, CUT)))
    assert begun + rest.text == await continued(model, begun)
    assert len(rest.text) > 10
    assert (rest.used[-1].completion, rest.finish) == (TOKENS - CUT, {0: "length"})


async def test_a_prefix_counts_as_prompt_there(engine: CompatibleEngine, model: Model) -> None:
    """Which is why it is moved to the answer before anybody is charged."""
    bare = (await heard(engine, a_call(model, max_tokens=2))).used[-1]
    call = replace(a_call(model, max_tokens=2), prefix=Prefix("the water goes to the gate", 0))
    continued = (await heard(engine, call)).used[-1]
    assert bare.prompt < continued.prompt <= bare.prompt + len(call.prefix.text)


async def test_a_temperature_does_not_keep_it_from_going_on(engine: CompatibleEngine, model: Model) -> None:
    """Nothing has to come out the same: the client gets one text, of which the engine said the second half."""
    call = a_call(model, temperature=1.5, max_tokens=20)
    answer = await heard(engine, replace(call, prefix=Prefix("the water goes", 3)))
    assert answer.used[-1].completion == 17
    assert not answer.text.startswith("the water goes")


@pytest.mark.parametrize("body", [{"temperature": 0}, {"seed": 5}])
async def test_what_is_generated_again_is_the_same_and_left_out(
    body: dict[str, Any], engine: CompatibleEngine, model: Model
) -> None:
    """At temperature 0, and with a seed: only what the client lacks comes through."""
    text = await whole(engine, model, max_tokens=TOKENS, **body)
    assert await news(engine, a_call(model, max_tokens=TOKENS, **body), text[:30]) == text[30:]


async def test_another_seed_is_noticed(engine: CompatibleEngine, model: Model) -> None:
    """A text that comes out different ends the answer instead of mixing two."""
    text = await whole(engine, model, max_tokens=TOKENS, seed=5)
    with pytest.raises(AnswerDiverged):
        await news(engine, a_call(model, max_tokens=TOKENS, seed=6), text[:30])


async def test_the_server_is_as_strict_as_the_tests_engine(llama: Server) -> None:
    """To continue goes without a new message's beginning only: our request says both."""
    body = {"model": "tiny", "messages": [*MESSAGES, {"role": "assistant", "content": "the"}]}
    async with httpx.AsyncClient(trust_env=False, headers=HEADERS) as client:
        answer = await client.post(f"{llama.url}/chat/completions", json=body | {"continue_final_message": True})
    assert answer.status_code == 400
    assert "add_generation_prompt and continue_final_message" in answer.json()["error"]["message"]


async def news(engine: CompatibleEngine, call: EngineCall, delivered: str) -> str:
    """What a client lacks of an answer that is generated again. Raises AnswerDiverged."""
    held = Output()
    held.add_text(0, "content", delivered)
    verification = Verification(held)
    said = [event async for events in engine.stream(call) for event in verification.news(events)]
    verification.must_be_done()
    return "".join(event.text for event in said if isinstance(event, TextDelta))
