"""Rows of outboxes, as services would have written them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from penstock_common.events.event import StoredEvent
from penstock_common.ids import day_made, uuid7
from penstock_common.messaging.envelope import MESSAGE_ID

COLUMNS = (
    "day",
    "id",
    "subject",
    "stream",
    "message_id",
    "headers",
    "body",
    "created_at",
    "published_at",
)
BEGIN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def an_event(
    at: datetime = BEGIN,
    subject: str = "billing.usage.recorded.v1",
    service: str = "billing",
    headers: Mapping[str, str] | None = None,
    **given: Any,
) -> StoredEvent:
    """An event said at a moment, with the headers that one always has."""
    id_: UUID = given.pop("id", None) or uuid7(int(at.timestamp() * 1000))
    message_id = str(given.pop("message_id", id_))
    known = {
        "ce-specversion": "1.0",
        MESSAGE_ID: message_id.partition(":")[0],
        "ce-type": f"penstock.{subject}",
        "ce-source": f"penstock/{service}",
        "content-type": "application/json",
    }
    row: dict[str, Any] = {"stream": service.upper(), "body": b"{}", "created_at": at, "published_at": at} | given
    return StoredEvent(
        service=service,
        day=day_made(id_),
        id=id_,
        subject=subject,
        message_id=message_id,
        headers=known | dict(headers or {}),
        **row,
    )


async def insert(connection: asyncpg.Connection, events: Iterable[StoredEvent]) -> None:
    """Write them to the outboxes of their services."""
    by_service: dict[str, list[tuple[Any, ...]]] = {}
    for event in events:
        row = [getattr(event, column) for column in COLUMNS]
        row[COLUMNS.index("headers")] = msgspec.json.encode(event.headers).decode()
        by_service.setdefault(event.service, []).append(tuple(row))
    for service, rows in by_service.items():
        await connection.copy_records_to_table("outbox", schema_name=service, records=rows, columns=COLUMNS)


def spread(count: int, **given: Any) -> list[StoredEvent]:
    """So many events, a millisecond apart, of three services in turn."""
    services = ("api", "billing", "inference")
    return [an_event(BEGIN + timedelta(milliseconds=n), service=services[n % 3], **given) for n in range(count)]
