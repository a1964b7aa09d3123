"""Embeddings by llama.cpp, read by the adapter."""

from array import array
from base64 import b64decode
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.errors import EngineKeyRefused
from penstock_inference.ports import EngineCall
from tests.integration.inference.llama.conftest import llama_model
from tests.support.engine_calls import a_call
from tests.support.gguf import WIDTH
from tests.support.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("llama"), pytest.mark.timeout(1800)]

TEXTS = ["the water", "the gate", "the water"]


def an_embedding(model: Model, **body: Any) -> EngineCall:
    """A call for vectors."""
    return replace(a_call(model), body={"model": model.name, "input": TEXTS, **body})


async def test_each_text_has_its_vector_and_the_engines_count(engine: CompatibleEngine, model: Model) -> None:
    """Vectors are in the order of the texts: equal for equal texts, of the model's width, of unit length."""
    whole = await engine.embed(an_embedding(model))
    vectors = [entry["embedding"] for entry in msgspec.json.decode(whole.body)["data"]]
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)
    assert {len(vector) for vector in vectors} == {WIDTH}
    assert sum(number**2 for number in vectors[0]) == pytest.approx(1, abs=1e-3)
    assert whole.tokens is not None
    assert whole.tokens.prompt > len(TEXTS)


async def test_base64_holds_the_same_numbers(engine: CompatibleEngine, model: Model) -> None:
    """Whichever way the client asks, the vectors are the same."""
    as_numbers, as_text = [
        msgspec.json.decode((await engine.embed(an_embedding(model, encoding_format=encoding))).body)
        for encoding in ("float", "base64")
    ]
    for numbers, text in zip(as_numbers["data"], as_text["data"], strict=True):
        assert array("f", b64decode(text["embedding"])).tolist() == pytest.approx(numbers["embedding"], abs=1e-5)


async def test_a_wrong_key_is_refused_here_too(engine: CompatibleEngine, llama: Server) -> None:
    """Embeddings are behind the engine's key as chat is."""
    with pytest.raises(EngineKeyRefused):
        await engine.embed(an_embedding(llama_model(llama, secret="WRONG_KEY")))
