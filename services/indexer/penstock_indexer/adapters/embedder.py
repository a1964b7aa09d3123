"""Vectors over the bus."""

import base64
import binascii
import math
from array import array
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from penstock_common.asking import Answered, AskFailed, Question
from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.stream import Failure
from penstock_common.errors import Fault
from penstock_common.ids import uuid7
from penstock_indexer.domain.errors import VectorsDiffer
from penstock_indexer.ports import Ask, Claimed, Vectors

BACKGROUND_SECONDS = 300.0
CUT = "truncate_prompt_tokens"
WHOLE_CONTEXT = -1  # vLLM's value for "cut at what the model takes"
REFUSED = "inference.engine_refused"


class Asks(Protocol):
    """What this module needs of an Asker."""

    async def ask(self, question: Question) -> Answered:
        """The answer, the same one however often a question of this id is asked."""


class BusEmbedder:
    """Asks inference: documents on the indexing lane, searches on the one where somebody waits.

    What is longer than a model takes is cut: its words are searched all the same. Engines that can't cut refuse the
    field; their models are remembered, and asked without it.
    """

    def __init__(self, asker: Asks) -> None:
        self.asker = asker
        self._uncut: set[str] = set()

    async def embed(self, claimed: Claimed, ask: Ask, texts: Sequence[str]) -> Vectors:
        """One vector a text. Raises AskFailed, BusUnavailable, VectorsDiffer for what is no list of vectors."""
        question = Question(
            request_id=ask.request_id,
            tenant=claimed.tenant,
            key_id=claimed.key_id,
            model=claimed.model,
            body=self._body(claimed.model, texts),
            contract=VectorizeTexts,
            seconds=BACKGROUND_SECONDS,
            asked_before=ask.was_asked,
        )
        try:
            return vectors_in((await self.asker.ask(question)).body, len(texts))
        except AskFailed as error:
            if self._learned(question, error):
                raise AskFailed(_again(error)) from error
            raise

    async def embed_query(self, tenant: UUID, key_id: UUID, model: str, text: str, seconds: float) -> bytes:
        """The vector of what somebody searches for. Raises as `embed`."""
        question = Question(
            request_id=uuid7(),
            tenant=tenant,
            key_id=key_id,
            model=model,
            body=self._body(model, [text]),
            contract=EmbedTexts,
            seconds=seconds,
        )
        try:
            return vectors_in((await self.asker.ask(question)).body, 1).rows[0]
        except AskFailed as error:
            if self._learned(question, error):
                return await self.embed_query(tenant, key_id, model, text, seconds)
            raise

    def _body(self, model: str, texts: Sequence[str]) -> dict[str, Any]:
        cut = {} if model in self._uncut else {CUT: WHOLE_CONTEXT}
        return {"model": model, "input": list(texts), "encoding_format": "base64", **cut}

    def _learned(self, question: Question, error: AskFailed) -> bool:
        """Whether a refusal may come of the field: this question had it, or one that an earlier process asked."""
        if error.failure_code != REFUSED or not (CUT in question.body or question.asked_before):
            return False
        self._uncut.add(question.model)
        return True


def _again(error: AskFailed) -> Failure:
    """The same failure as one that passes: the next request is another one."""
    return Failure(error.failure_code, Fault.UNAVAILABLE.value, error.message)


def vectors_in(body: dict[str, Any], count: int) -> Vectors:
    """The vectors of OpenAI's embeddings answer, each at length 1. Raises VectorsDiffer."""
    try:
        placed = {item["index"]: _unit(item["embedding"]) for item in body["data"]}
        rows = [placed[index] for index in range(count)]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise VectorsDiffer("The embedding model's answer holds no list of vectors.") from error
    if len({len(row) for row in rows}) != 1:
        raise VectorsDiffer("The embedding model's vectors are not of one length.")
    return Vectors(rows)


def _unit(embedding: str | list[float]) -> bytes:
    """Little-endian 32-bit floats of length 1. Raises ValueError for what is no direction."""
    numbers = array("f", embedding if isinstance(embedding, list) else base64.b64decode(embedding))
    length = math.sqrt(math.fsum(number * number for number in numbers))
    if not math.isfinite(length) or length == 0:
        raise ValueError("a vector without a direction")
    return array("f", [number / length for number in numbers]).tobytes()
