"""Embeddings requests and answers in OpenAI's shape, as inference reads and writes them."""

import math
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock_inference.domain.errors import EmbeddingsTooLarge, EngineRefused

MOST_INPUTS = 2048
MOST_ANSWER = 6 << 20  # bytes: one bus message holds it, with room
FLOAT_BYTES = 4
JSON_FLOAT_BYTES = 22  # the longest way to write one, with its comma
KNOWN_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
ENTRY_BYTES = 64  # of each entry, beside its vector

Input = str | list[int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an embeddings request asks for."""

    inputs: list[Input]
    """Texts, or token ids of OpenAI's cl100k vocabulary."""
    base64: bool
    dimensions: int | None
    cuts: bool
    """Whether what is longer than the model takes is cut (`truncate_prompt_tokens` of -1) instead of refused."""

    def must_fit(self, dimensions: int) -> None:
        """Raise EmbeddingsTooLarge where vectors of so many dimensions can't be sent in one answer."""
        each = ENTRY_BYTES + (base64_length(dimensions) if self.base64 else dimensions * JSON_FLOAT_BYTES)
        if each * len(self.inputs) > MOST_ANSWER:
            way = "" if self.base64 else ", or ask for the encoding base64"
            raise EmbeddingsTooLarge(
                f"{len(self.inputs)} vectors of {dimensions} dimensions are more than 6 MB: "
                f"send at most {MOST_ANSWER // each} inputs at once{way}"
            )


def wanted(body: dict[str, Any]) -> Wanted:
    """A request's body, checked. Raises EngineRefused."""
    given = body.get("input")
    inputs: list[Any] = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    if len(inputs) > MOST_INPUTS:
        raise EngineRefused(f"`input` has {len(inputs)} entries; at most {MOST_INPUTS} are taken at once")
    for place, entry in enumerate(inputs):
        if not (is_text(entry) or is_tokens(entry)):
            raise EngineRefused(f"`input[{place}]` must be a text or a list of token ids, and not empty")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise EngineRefused("`encoding_format` is `float` or `base64`")
    dimensions = body.get("dimensions")
    if dimensions is not None and (not isinstance(dimensions, int) or dimensions < 1):
        raise EngineRefused("`dimensions` is a whole number from 1")
    return Wanted(inputs, encoding == "base64", dimensions, body.get("truncate_prompt_tokens") == -1)


def is_text(entry: object) -> bool:
    """Whether this is a text with something in it."""
    return isinstance(entry, str) and bool(entry)


def is_tokens(entry: object) -> bool:
    """Whether this is a list of token ids."""
    return isinstance(entry, list) and bool(entry) and all(type(token) is int and token >= 0 for token in entry)


def answer(vectors: Sequence[bytes], model: str, tokens: int, *, base64: bool) -> bytes:
    """The answer's JSON. Vectors are little-endian float32. Raises EmbeddingsTooLarge."""
    entries = [
        {"object": "embedding", "index": place, "embedding": b64encode(vector).decode() if base64 else numbers(vector)}
        for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = msgspec.json.encode({"object": "list", "data": entries, "model": model, "usage": usage})
    if len(body) > MOST_ANSWER:
        raise EmbeddingsTooLarge
    return body


def numbers(vector: bytes) -> list[float]:
    """A vector's numbers."""
    return little_endian(array("f", vector)).tolist()


def packed(vector: str | Sequence[float]) -> bytes:
    """A vector from either encoding. Raises ValueError for what is none, or holds what is no number."""
    if isinstance(vector, str):
        found = little_endian(array("f", b64decode(vector, validate=True)))
    else:
        found = array("f", vector)
    if not found or not math.isfinite(sum(found)):
        raise ValueError("no finite numbers")
    return little_endian(found).tobytes()


def little_endian(found: "array[float]") -> "array[float]":
    """Numbers between this machine's order of bytes and that of the wire."""
    if sys.byteorder == "big":
        found.byteswap()
    return found


def base64_length(dimensions: int) -> int:
    """Characters of a vector in base64."""
    return 4 * -(-dimensions * FLOAT_BYTES // 3)
