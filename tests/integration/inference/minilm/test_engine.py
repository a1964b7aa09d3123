"""The built-in model as an engine: OpenAI's embeddings request in, OpenAI's list out."""

import asyncio
from array import array
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import psutil
import pytest

from penstock_common.contracts.catalogue import Price
from penstock_inference.adapters.engines.minilm.embedder import FOR_DOCUMENTS, FOR_PEOPLE, Embedder
from penstock_inference.adapters.engines.minilm.engine import LocalEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.errors import ContextTooLong, EmbeddingsTooLarge, EngineRefused
from penstock_inference.domain.tokens import tokenizer
from tests.support.engine_calls import a_call, heard

PRICE = Price(version=1, currency="USD", input_nano=10, output_nano=0, cached_input_nano=5)
MODEL = Model(name="local/all-minilm-l6-v2", engine="local", price=PRICE, context_tokens=256)


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    """The engine, patient enough for a busy machine."""
    engine = LocalEngine(Embedder(FOR_PEOPLE, patience=60.0), Embedder(FOR_DOCUMENTS, patience=60.0))
    yield engine
    await engine.close()


async def listed(engine: LocalEngine, given: Any, model: Model = MODEL, **members: Any) -> list[Any]:
    """The vectors of an input."""
    answer = await engine.embed(a_call(model, input=given, **members))
    body = msgspec.json.decode(answer.body)
    assert answer.tokens is not None
    assert body["usage"] == {"prompt_tokens": answer.tokens.prompt, "total_tokens": answer.tokens.prompt}
    assert [entry["index"] for entry in body["data"]] == list(range(len(body["data"])))
    return [entry["embedding"] for entry in body["data"]]


async def test_every_form_of_an_input_gives_the_same_vector(engine: LocalEngine) -> None:
    """A text, a list of one, its cl100k tokens as OpenAI's clients send them; as numbers or in base64."""
    text = "The river turns the wheel."
    ids = tokenizer().encode_ordinary(text)
    (plain,) = await listed(engine, text)
    assert await listed(engine, [text, ids]) == [plain, plain]
    assert await listed(engine, ids, encoding_format="float", dimensions=384) == [plain]
    (encoded,) = await listed(engine, text, encoding_format="base64")
    assert array("f", b64decode(encoded)).tolist() == plain
    assert len(plain) == 384


async def test_a_long_text_is_refused_or_cut(engine: LocalEngine) -> None:
    """Never cut in silence."""
    long = "river " * 400
    with pytest.raises(ContextTooLong, match=r"input\[1\] has 402 tokens, local/all-minilm-l6-v2 takes 256"):
        await listed(engine, ["short", long])
    with pytest.raises(ContextTooLong, match="together, local/all-minilm-l6-v2 takes 131072"):
        await listed(engine, [long] * 513, truncate_prompt_tokens=-1)
    assert await listed(engine, [long], truncate_prompt_tokens=-1) == await listed(engine, ["river " * 254])


async def test_a_longer_context_ends_where_the_models_weights_end(engine: LocalEngine) -> None:
    """Whatever an operator registers."""
    model = msgspec.structs.replace(MODEL, context_tokens=1000)
    assert len(await listed(engine, "river " * 510, model)) == 1
    with pytest.raises(ContextTooLong, match="takes 512"):
        await listed(engine, "river " * 511, model)


@pytest.mark.parametrize(
    ("members", "error", "said"),
    [
        ({"input": "a", "dimensions": 256}, EngineRefused, "384 dimensions"),
        ({"input": []}, EngineRefused, "not empty"),
        ({"input": ["a", ""]}, EngineRefused, r"input\[1\]"),
        ({"input": None}, EngineRefused, "text"),
        ({"input": [1, "a"]}, EngineRefused, "token ids"),
        ({"input": ["a"] * 2049}, EngineRefused, "2048"),
        ({"input": "a", "encoding_format": "hex"}, EngineRefused, "base64"),
        ({"input": [200_000]}, EngineRefused, "cl100k"),
        ({"input": ["a"] * 2048}, EmbeddingsTooLarge, "at most 739 inputs at once, or ask for the encoding base64"),
    ],
)
async def test_what_cannot_be_answered_is_refused_first(
    engine: LocalEngine, members: dict[str, Any], error: type[Exception], said: str
) -> None:
    """With a sentence, and before the process is begun."""
    with pytest.raises(error, match=said):
        await engine.embed(a_call(MODEL, **members))
    assert engine.people.pid is None


async def test_documents_have_a_process_of_their_own(engine: LocalEngine) -> None:
    """Which gives way to everything else; their flood holds up nobody who waits."""
    flood = asyncio.create_task(engine.embed(replace(a_call(MODEL, input=["river " * 250] * 200), background=True)))
    await listed(engine, "water")
    assert not flood.done()
    assert engine.documents.pid
    assert engine.people.pid
    people, documents = psutil.Process(engine.people.pid), psutil.Process(engine.documents.pid)
    async with asyncio.timeout(10):
        while documents.nice() - people.nice() != 8:  # a process is as nice as that once its code runs
            await asyncio.sleep(0.05)
    flood.cancel()


async def test_it_writes_no_text(engine: LocalEngine) -> None:
    """Chat is refused, streamed or not."""
    with pytest.raises(EngineRefused, match="makes embeddings"):
        await engine.complete(a_call(MODEL))
    with pytest.raises(EngineRefused, match="makes embeddings"):
        await heard(engine, a_call(MODEL))
