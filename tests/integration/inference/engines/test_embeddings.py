"""Embeddings of engines that speak OpenAI's API: asked in their way, read in any, given in the one asked for."""

from array import array
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from penstock_common.contracts.generation import Tokens
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.errors import (
    ContextTooLong,
    EmbeddingsTooLarge,
    EngineGarbled,
    EngineRefused,
    ModelNotLoaded,
)
from penstock_inference.ports import EngineCall
from tests.support.engine_calls import a_call as any_call
from tests.support.engine_calls import a_model
from tests.support.engine_fake import Answer, FakeEngine, as_json, error

NUMBERS = [[0.5, -0.25], [1.0, 0.0]]
USAGE = {"prompt_tokens": 7, "total_tokens": 7}


def a_call(model: Model, **body: Any) -> EngineCall:
    """A call for embeddings."""
    call = any_call(model, **{"input": ["a", "b"], **body})
    del call.body["messages"]
    return call


def encoded(vector: list[float]) -> str:
    """A vector in base64."""
    return b64encode(array("f", vector).tobytes()).decode()


def a_list(*vectors: Any, **members: Any) -> Answer:
    """The engine's answer."""
    entries = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return as_json({"object": "list", "data": entries, "usage": USAGE, **members})


@pytest.mark.parametrize("given", [NUMBERS, [encoded(vector) for vector in NUMBERS]], ids=["numbers", "base64"])
@pytest.mark.parametrize("wanted", ["float", "base64"])
async def test_either_encoding_becomes_the_one_asked_for(
    engine: CompatibleEngine, upstream: FakeEngine, model: Model, given: list[Any], wanted: str
) -> None:
    """Whatever the engine sends; its own counts are kept."""
    upstream.will(a_list(*given))
    answer = await engine.embed(a_call(model, encoding_format=wanted))
    vectors = [entry["embedding"] for entry in msgspec.json.decode(answer.body)["data"]]
    assert vectors == (NUMBERS if wanted == "float" else [encoded(vector) for vector in NUMBERS])
    assert answer.tokens == Tokens(7)


@pytest.mark.parametrize(("dialect", "encoding"), [("openai", "base64"), ("vllm", "base64"), ("ollama", "float")])
async def test_each_engine_is_asked_in_its_way(
    engine: CompatibleEngine, upstream: FakeEngine, dialect: str, encoding: str
) -> None:
    """Under its own name for the model, at its path, without what it does not know."""
    upstream.will(a_list(*NUMBERS))
    model = a_model(url=upstream.url, upstream_model="upstream", dialect=dialect)
    await engine.embed(a_call(model, dimensions=2, user="me"))
    (asked,) = upstream.asked
    kept = {"user": "me"} if dialect != "ollama" else {}
    assert asked.path == "/v1/embeddings"
    assert asked.body == {
        "model": "upstream",
        "input": ["a", "b"],
        "dimensions": 2,
        "encoding_format": encoding,
        **kept,
    }


async def test_vectors_come_in_the_order_of_their_inputs(
    engine: CompatibleEngine, upstream: FakeEngine, model: Model
) -> None:
    """The index decides."""
    upstream.will(as_json({"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}))
    answer = await engine.embed(a_call(model))
    assert [entry["embedding"] for entry in msgspec.json.decode(answer.body)["data"]] == [[1.0], [2.0]]
    assert answer.tokens is None


GARBLED = {
    "too few": a_list([1.0]),
    "too many": a_list([1.0], [2.0], [3.0]),
    "uneven": a_list([1.0], [2.0, 3.0]),
    "empty": a_list([], []),
    "no base64": a_list("!", "!"),
    "half a number": a_list("AAA=", "AAA="),
    "twice the same": as_json({"data": [{"index": 0, "embedding": [1.0]}] * 2}),
    "beyond": as_json({"data": [{"index": 7, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}),
    "beyond float32": a_list([1e300], [1.0]),
    "a chat": as_json({"choices": []}),
    "no JSON": Answer([b"<html>"], kind="text/html"),
}


@pytest.mark.parametrize("kind", GARBLED)
async def test_nonsense_is_called_so(engine: CompatibleEngine, upstream: FakeEngine, model: Model, kind: str) -> None:
    """Never vectors that are none."""
    upstream.will(GARBLED[kind])
    with pytest.raises(EngineGarbled, match="not a list of embeddings"):
        await engine.embed(a_call(model))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "no such model"), ModelNotLoaded),
        (error(400, "this model's maximum context length is 8192 tokens"), ContextTooLong),
        (as_json({"error": {"message": "bad input", "type": "invalid_request_error"}}), EngineRefused),
    ],
)
async def test_what_the_engine_says_went_wrong_is_told(
    engine: CompatibleEngine, upstream: FakeEngine, model: Model, answer: Answer, expected: type[Exception]
) -> None:
    """By status, or inside of a 200."""
    upstream.will(answer)
    with pytest.raises(expected):
        await engine.embed(a_call(model))


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"input": ["a"] * 2048, "dimensions": 3072, "encoding_format": "base64"}, "upstream"),
        ({"input": ["a"] * 2048, "encoding_format": "base64"}, "text-embedding-3-large"),
    ],
)
async def test_what_would_not_fit_is_refused_before_it_is_bought(
    engine: CompatibleEngine, upstream: FakeEngine, members: dict[str, Any], name: str
) -> None:
    """By the dimensions asked for, or those that the model is known to have."""
    with pytest.raises(EmbeddingsTooLarge, match="at most 382 inputs"):
        await engine.embed(a_call(a_model(url=upstream.url, upstream_model=name), **members))
    assert not upstream.asked


async def test_what_turns_out_too_large_is_refused(
    engine: CompatibleEngine, upstream: FakeEngine, model: Model
) -> None:
    """A model of unknown size may surprise."""
    upstream.will(a_list(*[[0.123456789] * 4096] * 200))
    with pytest.raises(EmbeddingsTooLarge):
        await engine.embed(a_call(model, input=["a"] * 200))


async def test_cutting_is_left_to_engines_that_can(
    engine: CompatibleEngine, upstream: FakeEngine, model: Model
) -> None:
    """vLLM is asked to, others are not asked at all."""
    upstream.will(a_list(*NUMBERS))
    vllm = a_model(url=upstream.url, dialect="vllm")
    await engine.embed(a_call(vllm, truncate_prompt_tokens=-1))
    assert upstream.asked[0].body["truncate_prompt_tokens"] == -1
    with pytest.raises(EngineRefused, match="truncate_prompt_tokens"):
        await engine.embed(a_call(model, truncate_prompt_tokens=-1))
