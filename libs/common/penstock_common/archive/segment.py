"""What a segment is: gzip members one behind another, which `zcat` reads as lines, and an index of them."""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from penstock_common.errors import ContractViolated
from penstock_common.events.cloudevents import as_line
from penstock_common.events.event import StoredEvent
from penstock_common.ids import time_of

LEVEL = 6
FORMAT = 1
MOST_TENANTS = 64
"""Beyond these the index names none, and the member has to be read."""
MOST_LINES = 64 << 20
"""Bytes that one member may have once it is unpacked."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A gzip member of some hundred events, readable by itself."""

    offset: int
    length: int
    """Bytes, compressed."""
    sha256: str
    """Of these bytes."""
    count: int
    first: UUID
    last: UUID
    """The ids of the rows; events are in their order."""
    first_at: datetime
    last_at: datetime
    """The times in these ids."""
    subjects: dict[str, int]
    """How many events of each topic."""
    tenants: list[str] | None
    """Whose events these are; None where they are too many to name."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """The index of one object of members."""

    format: int = FORMAT
    service: str
    day: date
    number: int
    """Counted from 1 within the day."""
    data: str
    """The name of the object beside the index."""
    bytes: int
    sha256: str
    count: int
    first: UUID
    last: UUID
    members: tuple[Member, ...]
    late: bool = False
    """Whether it holds events that were committed behind younger ones, or had to be archived anew."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as a closed day names it."""

    number: int
    data: str
    bytes: int
    sha256: str
    count: int


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A day that was compared with the outbox and read back."""

    format: int = FORMAT
    service: str
    day: date
    closed_at: datetime
    count: int
    """Events, each counted once."""
    segments: tuple[Part, ...]
    highest: int
    """The highest number in use: of those below it that are not named, the events are in others."""


class Sealed(msgspec.Struct, frozen=True):
    """A description beside its own digest."""

    sha256: str
    content: msgspec.Raw


D = TypeVar("D", Segment, Closed)


def sealed(description: Segment | Closed) -> bytes:
    """A description as it is stored: a flipped bit in it is noticed."""
    content = msgspec.json.encode(description)
    return msgspec.json.encode(Sealed(digest(content), msgspec.Raw(content)))


def unsealed(kind: type[D], stored: bytes) -> D:
    """The description that was stored. Raises ContractViolated where it is damaged, or of a later format."""
    try:
        seal = msgspec.json.decode(stored, type=Sealed)
        content = bytes(seal.content)
        if digest(content) != seal.sha256:
            raise ContractViolated("its checksum differs")
        found: D = msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ContractViolated(f"it can't be read: {error}") from error
    if found.format != FORMAT:
        raise ContractViolated(f"format {found.format} is unknown to this version")
    return found


def pack(events: Sequence[StoredEvent]) -> bytes:
    """A gzip member of events. The same events give the same bytes. Raises ContractViolated."""
    return gzip.compress(b"".join(as_line(event) + b"\n" for event in events), LEVEL, mtime=0)


def unpack(member: Member, packed: bytes) -> list[bytes]:
    """The lines of a member. Raises ContractViolated where they are not what was written."""
    if len(packed) != member.length or digest(packed) != member.sha256:
        raise ContractViolated("its checksum differs")
    try:
        unpacking = zlib.decompressobj(wbits=31)
        lines = unpacking.decompress(packed, MOST_LINES).splitlines()
    except zlib.error as error:
        raise ContractViolated(f"it can't be unpacked: {error}") from error
    if len(lines) != member.count:
        raise ContractViolated(f"{len(lines)} events in place of {member.count}")
    return lines


def described(events: Sequence[StoredEvent], packed: bytes, offset: int) -> Member:
    """A member's entry in the index."""
    tenants = sorted({event.tenant for event in events if event.tenant})
    first, last = events[0].id, events[-1].id
    return Member(
        offset=offset,
        length=len(packed),
        sha256=digest(packed),
        count=len(events),
        first=first,
        last=last,
        first_at=time_of(first),
        last_at=time_of(last),
        subjects=dict(sorted(Counter(event.subject for event in events).items())),
        tenants=tenants if len(tenants) <= MOST_TENANTS else None,
    )


def digest(content: Any) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
