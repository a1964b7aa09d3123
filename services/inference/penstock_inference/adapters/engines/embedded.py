"""An engine's answer to an embeddings request, read whichever way it is written, written the way it was asked for."""

from typing import Any

import msgspec

from penstock_inference.adapters.engines.chunks import NULL, is_given, tokens_of
from penstock_inference.adapters.engines.failures import failure_in
from penstock_inference.domain.embeddings import Wanted, answer, packed
from penstock_inference.domain.errors import EngineGarbled
from penstock_inference.domain.tokens import count_entry
from penstock_inference.ports import WholeAnswer


class Entry(msgspec.Struct):
    """One vector, as numbers or in base64."""

    embedding: str | list[float]
    index: int | None = None


class Listed(msgspec.Struct):
    """OpenAI's list of embeddings."""

    data: list[Entry] | None = None
    usage: msgspec.Raw = msgspec.Raw(NULL)
    error: msgspec.Raw = msgspec.Raw(NULL)
    error_type: str | None = None


_decode = msgspec.json.Decoder(Listed).decode


def embedded(body: bytes, request: Wanted, model: str) -> WholeAnswer:
    """The answer under our model's name. Raises what the engine says went wrong, EngineGarbled, EmbeddingsTooLarge."""
    try:
        listed = _decode(body)
        if is_given(listed.error):
            raise failure_in(listed.error, listed.error_type)
        vectors = vectors_of(listed, len(request.inputs))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, RecursionError) as error:
        raise EngineGarbled("the model's engine answered with something that is not a list of embeddings") from error
    tokens = tokens_of(listed.usage, produced=False)
    prompt = tokens.prompt if tokens else sum(map(count_entry, request.inputs))
    whole = answer(vectors, model, prompt, base64=request.base64)
    return WholeAnswer(whole, tokens, {}, "")


def vectors_of(listed: Listed, expected: int) -> list[bytes]:
    """The vectors in the order of the inputs. Raises ValueError where they are too few, too many, or uneven."""
    entries: list[Any] = [None] * expected
    for place, entry in enumerate(listed.data or ()):
        index = place if entry.index is None else entry.index
        if not 0 <= index < expected or entries[index] is not None:
            raise ValueError("an index that was not asked for")
        entries[index] = packed(entry.embedding)
    if None in entries or len({len(vector) for vector in entries}) != 1 or not entries[0]:
        raise ValueError("not one vector for each input, all of one length")
    return entries
