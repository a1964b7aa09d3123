"""Vectors out of answers."""

import asyncio
import base64
from array import array
from typing import Any
from uuid import uuid4

import pytest

from penstock_common.asking import Answered, AskFailed, Question
from penstock_common.contracts.generation import Tokens
from penstock_common.contracts.stream import Failure
from penstock_common.ids import uuid7
from penstock_indexer.adapters.embedder import BusEmbedder, vectors_in
from penstock_indexer.domain.errors import VectorsDiffer
from penstock_indexer.ports import Ask, Claimed

CLAIMED = Claimed(
    id=uuid7(),
    base_id=uuid7(),
    tenant=uuid7(),
    key_id=uuid7(),
    epoch=1,
    attempts=1,
    version=1,
    object_key="k",
    media_type="text/plain",
    is_parsed=True,
    chunks=1,
    pages=0,
    model="some/model",
    chunk_characters=1000,
    overlap_characters=0,
)


def packed(*numbers: float) -> str:
    """As an engine writes them."""
    return base64.b64encode(array("f", numbers).tobytes()).decode()


def body(*vectors: Any) -> dict[str, Any]:
    """An answer."""
    return {"data": [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]}


class StrictEngine:
    """An engine that refuses what it can't do, as its id's answer for ever."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.asking = asyncio.Barrier(1)
        """How many ask before any is answered."""
        self.recorded = False
        """Whether a refusal is what an id was answered before."""

    async def ask(self, question: Question) -> Answered:
        """Vectors, unless texts are to be cut."""
        assert question.request_id not in {before.request_id for before in self.asked}
        self.asked.append(question)
        await self.asking.wait()
        if self.recorded or "truncate_prompt_tokens" in question.body:
            raise AskFailed(Failure("inference.engine_refused", "invalid", "This engine cuts nothing."))
        return Answered(body(*[[3.0, 4.0]] * len(question.body["input"])), Tokens())


def test_vectors_have_length_one() -> None:
    """As numbers or packed, placed by their index."""
    answer = body([3.0, 4.0], packed(0.0, 2.0))
    answer["data"].reverse()
    assert [array("f", row).tolist() for row in vectors_in(answer, 2).rows] == [pytest.approx([0.6, 0.8]), [0.0, 1.0]]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        body(),
        body([0.0, 0.0]),
        body([1.0], [1.0, 2.0]),
        body("?"),
        body([float("nan")]),
        body(None),
    ],
)
def test_anything_else_is_refused(answer: dict[str, Any]) -> None:
    """It would only be noticed at a search."""
    with pytest.raises(VectorsDiffer):
        vectors_in(answer, max(1, len(answer.get("data") or ())))


async def test_an_engine_that_can_not_cut_is_asked_without() -> None:
    """A document comes again under another request; from then on nothing is asked in vain."""
    engine = StrictEngine()
    embedder = BusEmbedder(engine)
    with pytest.raises(AskFailed) as refused:
        await embedder.embed(CLAIMED, Ask(0, uuid7(), False, False), ["text"])
    assert refused.value.passes
    assert len((await embedder.embed(CLAIMED, Ask(0, uuid7(), False, False), ["a", "b"])).rows) == 2
    assert ["truncate_prompt_tokens" in question.body for question in engine.asked] == [True, False]


async def test_a_search_does_not_wait_for_that() -> None:
    """It asks again at once."""
    engine = StrictEngine()
    vector = await BusEmbedder(engine).embed_query(uuid4(), uuid4(), "some/model", "text", 5.0)
    assert array("f", vector).tolist() == pytest.approx([0.6, 0.8])
    assert len(engine.asked) == 2


async def test_documents_that_were_asked_for_before_that_was_known_come_again() -> None:
    """Two at once, or one of a process that died: what is refused is the field, and not the document."""
    embedder = BusEmbedder(engine := StrictEngine())
    engine.asking = asyncio.Barrier(2)
    both = (embedder.embed(CLAIMED, Ask(0, uuid7(), False, False), ["text"]) for _ in range(2))
    refused = await asyncio.gather(*both, return_exceptions=True)
    assert [isinstance(error, AskFailed) and error.passes for error in refused] == [True, True]
    engine.asking, engine.recorded = asyncio.Barrier(1), True
    with pytest.raises(AskFailed) as repeated:
        await embedder.embed(CLAIMED, Ask(0, uuid7(), True, False), ["text"])
    assert repeated.value.passes
