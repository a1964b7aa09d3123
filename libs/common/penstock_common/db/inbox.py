"""The inbox: which consumer handled which message, in the transaction of the effect."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.errors import ContractViolated, FingerprintDiffers
from penstock_common.ids import day_of
from penstock_common.messaging.delivery import DELIVERED, AlreadyHandled
from penstock_common.messaging.envelope import FINGERPRINT
from penstock_common.messaging.ports import Incoming

__all__ = ["AlreadyHandled", "insert"]

INSERT = """
insert into {schema}.inbox (day, consumer, message_id, fingerprint)
select * from unnest(cast(:day as date[]), cast(:consumer as text[]), cast(:id as text[]), cast(:print as text[]))
order by 1, 2, 3
on conflict do nothing returning message_id
"""
KNOWN = """
select i.message_id, i.fingerprint from {schema}.inbox i
join unnest(cast(:day as date[]), cast(:id as text[])) as g(day, id) on i.day = g.day and i.message_id = g.id
where i.consumer = :consumer
"""


async def insert(connection: AsyncConnection, schema: str, messages: Sequence[Incoming]) -> set[int]:
    """Mark messages as handled; returns the positions of those that were before.

    Raises FingerprintDiffers where an id was handled with another content, ContractViolated for an id without a time.
    """
    prints = fingerprints(messages)
    given = columns_of(prints)
    fresh = set(await connection.scalars(text(INSERT.format(schema=schema)), given))
    if len(fresh) < len(prints):
        handled = {"day": given["day"], "id": given["id"], "consumer": given["consumer"][0]}
        known = await connection.execute(text(KNOWN.format(schema=schema)), handled)
        for message_id, fingerprint in known:
            if fingerprint != prints[message_id]:
                raise FingerprintDiffers(f"{message_id} was handled with another content")
    return repeated(messages, fresh)


def columns_of(prints: Mapping[str, str]) -> dict[str, list[object]]:
    """The rows of messages, given as id → fingerprint, that the running handler was given; one array a column."""
    delivered = DELIVERED.get()
    assert delivered is not None
    return {
        "day": [day(m) for m in prints],
        "consumer": [delivered[0].inbox_name] * len(prints),
        "id": list(prints),
        "print": list(prints.values()),
    }


def fingerprints(messages: Sequence[Incoming]) -> dict[str, str]:
    """Message id → fingerprint. Raises FingerprintDiffers where one batch holds two contents under one id."""
    prints: dict[str, str] = {}
    for message in messages:
        fingerprint = message.headers.get(FINGERPRINT, "")
        if prints.setdefault(message.message_id, fingerprint) != fingerprint:
            raise FingerprintDiffers(f"{message.message_id} came with two contents")
    return prints


def repeated(messages: Sequence[Incoming], fresh: set[str]) -> set[int]:
    """The positions whose message was handled before, or comes earlier in the same batch."""
    seen, left = set(), set(fresh)
    for position, message in enumerate(messages):
        if message.message_id in left:
            left.remove(message.message_id)
        else:
            seen.add(position)
    return seen


def day(message_id: str) -> date:
    """The partition of a message id."""
    try:
        return day_of(message_id)
    except ValueError as error:
        raise ContractViolated(f"message id {message_id[:80]!r} does not begin with a uuid7") from error
