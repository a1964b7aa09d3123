"""The built-in embedding model's port."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from penstock_common.contracts.generation import Tokens
from penstock_inference.adapters.engines.minilm.embedder import Embedder
from penstock_inference.adapters.engines.minilm.frames import Ask, TooLong, Vectors
from penstock_inference.domain.embeddings import FLOAT_BYTES, Input, Wanted, answer, wanted
from penstock_inference.domain.errors import ContextTooLong, EngineRefused
from penstock_inference.domain.tokens import text_of_tokens
from penstock_inference.ports import EngineCall, EngineEvent, WholeAnswer

DIMENSIONS = 384
CONTEXT_TOKENS = 256
PLACES = 512  # tokens of a text for which the model has weights at all
MOST_TOKENS = 131_072  # of a request: a minute's work
VECTOR_BYTES = DIMENSIONS * FLOAT_BYTES


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Embeds with all-MiniLM-L6-v2; it writes no text."""

    people: Embedder
    documents: Embedder
    """A process of its own, so that a flood of documents holds up nobody who waits."""

    async def embed(self, call: EngineCall) -> WholeAnswer:
        """The vectors of the request's inputs, of unit length."""
        request = wanted(call.body)
        if request.dimensions not in (None, DIMENSIONS):
            raise EngineRefused(f"{call.model.name} has {DIMENSIONS} dimensions and can't be shortened")
        request.must_fit(DIMENSIONS)
        texts = await asyncio.to_thread(lambda: [text_of(entry) for entry in request.inputs])
        most = min(call.model.context_tokens or CONTEXT_TOKENS, PLACES)
        ask = Ask(0, texts, most, request.cuts, MOST_TOKENS)
        found = await (self.documents if call.background else self.people).embed(ask)
        if isinstance(found, TooLong):
            raise refused(found, ask, call.model.name)
        body = await asyncio.to_thread(body_of, found, request, call.model.name)
        return WholeAnswer(body, Tokens(found.tokens), {}, "")

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """Refused: raises EngineRefused."""
        raise no_chat(call)

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Refused: raises EngineRefused."""
        raise no_chat(call)
        yield []

    async def close(self) -> None:
        """End the processes."""
        await self.people.close()
        await self.documents.close()


def refused(found: TooLong, ask: Ask, model: str) -> ContextTooLong:
    """What is too long, and what to do."""
    if found.index is None:
        all_ = f"the inputs have {found.tokens} tokens together"
        return ContextTooLong(f"{all_}, {model} takes {ask.most_together}: send fewer of them at once")
    return ContextTooLong(
        f"input[{found.index}] has {found.tokens} tokens, {model} takes {ask.most_tokens}: shorten it, or set "
        "truncate_prompt_tokens to -1 to have it cut"
    )


def body_of(found: Vectors, request: Wanted, model: str) -> bytes:
    """The answer's JSON."""
    vectors = [found.data[at : at + VECTOR_BYTES] for at in range(0, len(found.data), VECTOR_BYTES)]
    return answer(vectors, model, found.tokens, base64=request.base64)


def text_of(entry: Input) -> str:
    """An input as text. Raises EngineRefused for tokens that there are none of."""
    return entry if isinstance(entry, str) else text_of_tokens(entry)


def no_chat(call: EngineCall) -> EngineRefused:
    """Why this model answers no chat."""
    return EngineRefused(f"{call.model.name} makes embeddings and answers no chat; POST /v1/embeddings takes it")
