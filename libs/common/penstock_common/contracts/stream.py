"""Chunks of an answer on their way to the client. Never stored; placed by offset, so that repeats are harmless."""

from collections.abc import Iterable

import msgspec

from penstock_common.contracts.generation import Tokens
from penstock_common.errors import ContractViolated


class Delta(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Text of one channel of one choice. Channels: `content`, `reasoning`, `refusal`, `tool.<index>`."""

    attempt: int
    choice: int
    channel: str
    offset: int
    """Characters of this channel before this text."""
    text: str
    logprobs: bytes = b""
    """The engine's `logprobs.content` entries for this text as a JSON array; empty where not asked for."""


class ToolCall(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Opens the channel `tool.<index>`: the arguments follow there as text."""

    attempt: int
    choice: int
    index: int
    id: str
    name: str


class Whole(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """An unstreamed answer: the engine's JSON body."""

    attempt: int
    body: bytes


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why a generation did not succeed: a public code, its fault, and a sentence a person can act on."""

    code: str
    fault: str
    message: str
    retry_after: float = 0.0


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The end of an answer, sent only once its row is committed."""

    attempt: int
    outcome: str
    finish: dict[int, str]
    """Finish reason by choice."""
    lengths: dict[str, int]
    """Characters in all, by `<choice>/<channel>`: shows the loss of a last delta."""
    tokens: Tokens
    failure: Failure | None = None


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The adapter lives, and has nothing to send yet."""

    attempt: int


Frame = Delta | ToolCall | Whole | Ended | Beat

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Frame]).decode


class LogprobToken(msgspec.Struct):
    """The part of a logprobs entry that says which text it is about."""

    token: str


_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode
_token = msgspec.json.Decoder(LogprobToken).decode


def logprobs_after(logprobs: bytes, characters: int) -> bytes:
    """The entries of a text without its first characters, as a JSON array; empty where none is left."""
    entries = _entries(logprobs) if logprobs else []
    covered = 0
    while entries and covered < characters:
        covered += len(_token(entries.pop(0)).token)
    return msgspec.json.encode(entries) if entries else b""


def channel_key(choice: int, channel: str) -> str:
    """The name of a channel within an answer: `<choice>/<channel>`."""
    return f"{choice}/{channel}"


def pack(frames: Iterable[Frame]) -> bytes:
    """Frames as one bus message."""
    return _encode(list(frames))


def unpack(body: bytes) -> list[Frame]:
    """The frames of one bus message. Raises ContractViolated."""
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise ContractViolated(f"stream frames: {error}") from error
