"""Identifiers: uuid7 (RFC 9562), whose first 48 bits are the Unix time in milliseconds."""

import os
import time
from datetime import UTC, date, datetime
from uuid import UUID

UUID_TEXT = 36  # characters of a uuid's canonical text


def uuid7(at_ms: int | None = None) -> UUID:
    """A new uuid7 for the given Unix time in milliseconds, or for now."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    tail = int.from_bytes(os.urandom(10))
    value = (ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=value)


def time_of(id_: UUID) -> datetime:
    """When a uuid7 was made, in UTC."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)


def day_of(message_id: str) -> date:
    """The UTC day of a message id, `<uuid7>` or `<uuid7>.<suffix>`. Raises ValueError for anything else."""
    id_ = UUID(message_id[:UUID_TEXT])
    if id_.version != 7:
        raise ValueError(f"{message_id!r} does not begin with a uuid7")
    return time_of(id_).date()
