"""What goes into an index."""

from collections.abc import Sequence
from dataclasses import dataclass

SLOT_BITS = 20
"""A chunk's id is its document's slot, shifted by these bits, and its number: ranges of ids are documents."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One chunk."""

    id: int
    vector: bytes
    """Little-endian 32-bit floats of length 1."""
    words: str
    """Its words as opaque tokens, apart by spaces."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of documents up to a sequence. Applying it twice changes nothing more."""

    sequence: int
    slots: Sequence[int]
    """The documents that are replaced or removed."""
    entries: Sequence[Entry]
    """All chunks that these documents have now."""


def chunk_id(slot: int, number: int) -> int:
    """The id of a chunk in every index."""
    return slot << SLOT_BITS | number


def slot_of(id_: int) -> int:
    """The document of a chunk."""
    return id_ >> SLOT_BITS


def number_of(id_: int) -> int:
    """The place of a chunk in its document."""
    return id_ & (1 << SLOT_BITS) - 1
