"""What a fingerprint covers, and what a violated contract looks like."""

import msgspec
import pytest
from penstock_common.contracts.base import Contract, Wire, decode, encode
from penstock_common.contracts.generation import CancelGeneration
from penstock_common.contracts.stream import Beat, pack, unpack
from penstock_common.errors import ContractViolated
from penstock_common.topology import PLATFORM

from tests.contract.examples import example

CONTRACTS = [topic.contract for topic in PLATFORM.topics]


def with_other(message: Contract, field: str) -> Contract:
    """The message with one field changed to something else of its type."""
    least = example(type(message), every=False)
    value = getattr(message, field)
    others = {bool: lambda: not value, int: lambda: value + 1, str: lambda: f"{value}x", bytes: lambda: value + b"x"}
    if type(value) in others:
        return msgspec.structs.replace(message, **{field: others[type(value)]()})
    if hasattr(value, "replace") and hasattr(value, "year"):
        return msgspec.structs.replace(message, **{field: value.replace(year=value.year + 1)})
    if hasattr(value, "int"):
        return msgspec.structs.replace(message, **{field: type(value)(int=value.int + 1)})
    other = getattr(least, field, None)
    if isinstance(value, list | dict):
        other = type(value)()
    elif other == value:
        other = next(member for member in type(value) if member != value)
    return msgspec.structs.replace(message, **{field: other})


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_fingerprint_covers_the_stable_fields_and_no_other(contract: type[Contract]) -> None:
    """Times, trace and ciphertext may differ between copies; anything else is another message."""
    message = example(contract, every=True)
    for field in message.__struct_fields__:
        differs = with_other(message, field).fingerprint() != message.fingerprint()
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
