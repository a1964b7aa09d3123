"""What every message on the bus is made of."""

from enum import StrEnum
from functools import cache
from hashlib import blake2b
from typing import Any, ClassVar, TypeVar

import msgspec

from penstock_common.errors import ContractViolated


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message. Released fields never change meaning: add optional ones, or make a new version."""

    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields that may differ between two copies of the same message: times, trace, ciphertext."""

    def fingerprint(self) -> str:
        """Sixteen hex digits over the stable fields: equal for copies of one message.

        Fields at their default do not count, so that a new optional field leaves the fingerprints of old messages.
        """
        required, optional = _stable(type(self))
        stable = {field: getattr(self, field) for field in required}
        for field, default in optional:
            if (value := getattr(self, field)) != default:
                stable[field] = value
        return blake2b(_encode_sorted(stable), digest_size=8).hexdigest()


_encode_sorted = msgspec.json.Encoder(order="sorted").encode


@cache
def _stable(contract: type[Contract]) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """The fields that a fingerprint covers: those that must be given, and the others, each with its default."""
    fields = [f for f in msgspec.structs.fields(contract) if f.name not in contract.volatile]
    return tuple(f.name for f in fields if f.required), tuple(
        (f.name, f.default if f.default_factory is msgspec.NODEFAULT else f.default_factory())
        for f in fields
        if not f.required
    )


C = TypeVar("C", bound=Contract)


class Wire(StrEnum):
    """How a contract is written on the bus."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"


_ENCODERS = {Wire.JSON: msgspec.json.Encoder().encode, Wire.MSGPACK: msgspec.msgpack.Encoder().encode}
_DECODERS: dict[tuple[type, Wire], Any] = {}


def encode(message: Contract, wire: Wire = Wire.JSON) -> bytes:
    """The body of a message."""
    return _ENCODERS[wire](message)


def decode(contract: type[C], body: bytes, wire: Wire = Wire.JSON) -> C:
    """A body as its contract. Unknown fields are ignored; raises ContractViolated."""
    decoder = _DECODERS.get((contract, wire))
    if decoder is None:
        make = msgspec.json.Decoder if wire is Wire.JSON else msgspec.msgpack.Decoder
        decoder = _DECODERS[contract, wire] = make(contract)
    try:
        message: C = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ContractViolated(f"{contract.__name__}: {error}") from error
    return message


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One choice made about a request, and why: the decision trail is built of these."""

    step: str
    outcome: str
    reason: str = ""
    catalogue_version: int | None = None
