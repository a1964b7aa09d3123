"""Embeddings in the exact shape of OpenAI's answer."""

import base64
import binascii
import sys
from array import array

import msgspec

from penstock_api.domain.errors import AnswerBroken
from penstock_common.contracts.stream import Ended


class Entry(msgspec.Struct):
    """One vector as inference gives it: little-endian float32 in base64."""

    embedding: str
    index: int


class Embeddings(msgspec.Struct):
    """Inference's answer."""

    data: list[Entry]


_decode = msgspec.json.Decoder(Embeddings).decode


def embeddings(body: bytes, ended: Ended, model: str, *, as_base64: bool) -> bytes:
    """The client's answer, under the name that it asked for. Raises AnswerBroken."""
    try:
        entries = [
            {"object": "embedding", "index": e.index, "embedding": e.embedding if as_base64 else numbers(e.embedding)}
            for e in _decode(body).data
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        raise AnswerBroken from error
    tokens = ended.tokens.prompt
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": entries, "model": model, "usage": usage})


def numbers(vector: str) -> list[float]:
    """The numbers of a vector. Raises ValueError for what is none."""
    found = array("f", base64.b64decode(vector, validate=True))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()
