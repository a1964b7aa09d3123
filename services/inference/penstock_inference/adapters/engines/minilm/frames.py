"""What the service and its embedding process say to each other: msgpack, its length in four bytes before it."""

from typing import Final

import msgspec

HEAD: Final = 4
MOST_BYTES = 64 << 20


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The vectors of some texts are wanted."""

    id: int
    texts: list[str]
    most_tokens: int
    """Of one text; a longer one is refused, or cut where `cuts` says so."""
    cuts: bool
    most_together: int
    """Tokens of all texts."""


class Drop(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Nobody waits for this any more."""

    id: int


class Vectors(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The vectors of all texts in their order, as little-endian float32."""

    id: int
    data: bytes
    tokens: int
    """Tokens of all texts."""


class TooLong(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """There are more tokens than allowed; nothing is embedded."""

    id: int
    index: int | None
    """The text that is too long; None where all are together."""
    tokens: int


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Something was computed, and nothing is complete yet."""


Question = Ask | Drop
Answer = Vectors | TooLong | Beat

_encode = msgspec.msgpack.Encoder().encode
read_question = msgspec.msgpack.Decoder(Question).decode
read_answer = msgspec.msgpack.Decoder(Answer).decode


def framed(message: Question | Answer) -> bytes:
    """A message with its length before it."""
    body = _encode(message)
    return len(body).to_bytes(HEAD, "little") + body


def length_of(head: bytes) -> int:
    """The length of the message that follows. Raises ValueError for one that can't be meant."""
    length = int.from_bytes(head, "little")
    if length > MOST_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return length
