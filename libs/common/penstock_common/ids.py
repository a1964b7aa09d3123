"""Identifiers: uuid7 (RFC 9562), whose first 48 bits are the Unix time in milliseconds."""

import os
import re
import time
from datetime import UTC, date, datetime
from functools import lru_cache
from uuid import UUID

import msgspec

UUID_TEXT = 36  # characters of a uuid's canonical text
UUID7 = re.compile("([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A digit by any other, of which two bits are as RFC 9562 has them."""
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1).toordinal()


def uuid7(at_ms: int | None = None) -> UUID:
    """A new uuid7 for the given Unix time in milliseconds, or for now."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    tail = int.from_bytes(os.urandom(10))
    value = (ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    return msgspec.convert(value.to_bytes(16), UUID)  # `UUID` itself takes several times as long


def uuid7_texts(count: int) -> list[str]:
    """So many new uuid7s as canonical text: what rows need that nothing else names."""
    ms, tails = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10 * count).hex()
    head = f"{ms[:8]}-{ms[8:]}-7"
    return [
        f"{head}{tails[n : n + 3]}-{VARIANT[tails[n + 3]]}{tails[n + 4 : n + 7]}-{tails[n + 7 : n + 19]}"
        for n in range(0, 20 * count, 20)
    ]


def text_of(id_: UUID) -> str:
    """The canonical text of a uuid, as `str` gives it, in a tenth of the time."""
    text: str = msgspec.to_builtins(id_)
    return text


def time_of(id_: UUID) -> datetime:
    """When a uuid7 was made, in UTC."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)


def day_of(message_id: str) -> date:
    """The UTC day of a message id, `<uuid7>` or `<uuid7>.<suffix>`. Raises ValueError for anything else."""
    if not (found := UUID7.match(message_id)):
        raise ValueError(f"{message_id!r} does not begin with a uuid7")
    return _day(int(found[1] + found[2], 16) // DAY_MS)


def day_made(id_: UUID) -> date:
    """The UTC day on which a uuid7 was made."""
    return _day((id_.int >> 80) // DAY_MS)


@lru_cache(maxsize=64)
def _day(number: int) -> date:
    """The day so many days after the epoch. Raises ValueError beyond the year 9999."""
    try:
        return date.fromordinal(EPOCH + number)
    except OverflowError as error:
        raise ValueError(str(error)) from error
