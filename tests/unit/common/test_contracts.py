"""What a fingerprint covers, and what a violated contract looks like."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest

from penstock_common.contracts.base import Contract, Wire, decode, encode
from penstock_common.contracts.generation import CancelGeneration
from penstock_common.contracts.stream import Beat, pack, unpack
from penstock_common.errors import ContractViolated
from penstock_common.topology import PLATFORM
from tests.contract.examples import example

CONTRACTS = [topic.contract for topic in PLATFORM.topics]


def other(value: Any) -> Any:
    """Something else of the same type."""
    match value:
        case Enum():
            return next(member for member in type(value) if member != value)
        case bool():
            return not value
        case int():
            return value + 1
        case datetime():
            return value + timedelta(days=1)
        case UUID():
            return UUID(int=value.int + 1)
        case msgspec.Struct():
            return example(type(value), every=False)
        case list() | dict():
            return type(value)()
        case _:
            return value * 2


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_fingerprint_covers_the_stable_fields_and_no_other(contract: type[Contract]) -> None:
    """Times, trace and ciphertext may differ between copies; anything else is another message."""
    message = example(contract, every=True)
    for field in message.__struct_fields__:
        changed = msgspec.structs.replace(message, **{field: other(getattr(message, field))})
        differs = changed.fingerprint() != message.fingerprint()
        assert differs == (field not in contract.volatile), field


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_volatile_names_fields(contract: type[Contract]) -> None:
    """A field that was renamed does not silently become part of the fingerprint."""
    assert contract.volatile <= set(contract.__struct_fields__)


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_round_trip(contract: type[Contract], every: bool, wire: Wire) -> None:
    """On both wires, and the fingerprint is that of the message, not of its bytes."""
    message = example(contract, every=every)
    read = decode(contract, encode(message, wire), wire)
    assert read == message
    assert read.fingerprint() == message.fingerprint()


def test_field_of_a_later_release_is_ignored() -> None:
    """Old code reads new messages."""
    message = example(CancelGeneration, every=True)
    later = msgspec.json.encode(msgspec.to_builtins(message) | {"later": {"a": [1]}})
    assert decode(CancelGeneration, later) == message


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"request_id":"x"}', b"[" * 10_000, b'{"request_id":"\xff"}']
)
def test_garbage_is_a_violation_that_names_its_contract(body: bytes) -> None:
    """It is refused, whatever it is."""
    with pytest.raises(ContractViolated, match="CancelGeneration"):
        decode(CancelGeneration, body)


@pytest.mark.parametrize("body", [b"", b"\x91\x91\x09", b"\xc1", b"{}", pack([Beat(1)])[:-1]])
def test_garbage_frames_are_a_violation(body: bytes) -> None:
    """A cut or foreign chunk message does not end the process that reads it."""
    with pytest.raises(ContractViolated):
        unpack(body)
