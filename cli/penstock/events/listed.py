"""Events as lines: for people, for scripts."""

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.tables import console, table
from penstock_common.events.event import StoredEvent
from penstock_common.messaging.topology import ONLY


def as_data(event: StoredEvent) -> dict[str, Any]:
    """What is told of an event without opening it."""
    known = {
        "id": str(event.id),
        "at": event.at,
        "service": event.service,
        "topic": event.topic,
        "kind": event.kind.value,
        "message_id": event.message_id,
        "tenant": event.tenant,
        "correlation": event.correlation,
        "causation": event.causation,
        "trace_id": event.trace_id,
        "stream": event.stream,
        "addressed_to": event.subject.removeprefix(ONLY) if event.subject.startswith(ONLY) else "",
        "published_at": event.published_at,
    }
    return {name: value for name, value in known.items() if value not in ("", None)}


def json_line(data: dict[str, Any]) -> str:
    """One line of JSON."""
    return msgspec.json.encode(data).decode()


def plain_line(event: StoredEvent) -> str:
    """One line for people."""
    waits = "" if event.published_at else "  (not published yet)"
    return f"{clock(event)}  {event.service:<9}  {event.topic}  {event.message_id}{waits}"


def clock(event: StoredEvent) -> str:
    """When it was said, in UTC."""
    return event.at.strftime("%Y-%m-%d %H:%M:%S.") + f"{event.at.microsecond // 1000:03}Z"


def print_table(events: Iterable[StoredEvent], sequences: Iterable[int] = ()) -> None:
    """All of them at once."""
    numbers = list(sequences)
    shown = table(*(["sequence"] if numbers else []), "at", "service", "topic", "message", "correlation", "published")
    for place, event in enumerate(events):
        first = [str(numbers[place])] if numbers else []
        published = "yes" if event.published_at else "not yet"
        shown.add_row(*first, clock(event), event.service, event.topic, event.message_id, event.correlation, published)
    console().print(shown)
