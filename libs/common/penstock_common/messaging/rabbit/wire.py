"""How a message looks in AMQP: names of exchanges, properties, headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp import commands as spec

from penstock_common.messaging import deadletter
from penstock_common.messaging.envelope import MESSAGE_ID, ORIGINAL
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.rabbit import letters
from penstock_common.messaging.topology import BURIED, QUARANTINE, Consumer

EVENTS = "events"
"""Topic exchange: commands, events and broadcasts, by subject."""
DEAD = "dlx"
"""Direct exchange: dead letters, by `dlq.<consumer>`, and suspects, by `quarantine.<consumer>`."""
QUERIES = "queries"
"""Direct exchange: queries, by subject."""
INBOXES = "inboxes"
"""Direct exchange: what is sent to one process, by `stream.<process>`."""

PERSISTENT, TRANSIENT = 2, 1
CONTENT_TYPE = "content-type"

Properties = spec.Basic.Properties


def level_name(delay: float) -> str:
    """The exchange and queue where messages wait `delay` seconds."""
    return f"retry.{round(delay * 1000)}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the settler needs of a delivery, whichever client received it."""

    lane: Consumer
    channel: Channel
    tag: int
    returns: int
    """Earlier deliveries since it was last published that ended without an ack."""
    received: float
    """CLOCK_BOOTTIME seconds."""


def persistent(message_id: str, headers: Mapping[str, str], expiration: float | None = None) -> Properties:
    """Properties of a message that is stored, gone after `expiration` seconds."""
    return Properties(
        headers={k: v for k, v in headers.items() if k != CONTENT_TYPE},
        content_type=headers.get(CONTENT_TYPE),
        delivery_mode=PERSISTENT,
        message_id=message_id,
        expiration=None if expiration is None else str(max(1, round(expiration * 1000))),
    )


def headers_of(properties: Properties) -> dict[str, str]:
    """Lower-case names to text; the broker's own `x-…` bookkeeping left out."""
    table = properties.headers or {}
    headers = {k.lower(): text(v) for k, v in table.items() if not k.startswith("x-")}
    if properties.content_type:
        headers[CONTENT_TYPE] = properties.content_type
    if properties.message_id:
        headers.setdefault(MESSAGE_ID, properties.message_id)
    return headers


def text(value: Any) -> str:
    """An AMQP value as text; bytes that are not UTF-8 are escaped."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def incoming(message: DeliveredMessage, lane: Consumer, received: float) -> Incoming:
    """A delivery as the platform knows it, received at a CLOCK_BOOTTIME moment in seconds."""
    properties = message.header.properties
    table: Mapping[str, Any] = properties.headers or {}
    headers, key = headers_of(properties), message.routing_key or ""
    if deaths := letters.deaths_of(table):
        if key.startswith(BURIED):
            letters.complete(headers, deaths, key.removeprefix(BURIED))
        elif lane.topic.stream == QUARANTINE.name:
            letters.suspect(headers, deaths, lane)
    tag, returns = message.delivery_tag, int(table.get("x-delivery-count", 0))
    assert tag is not None
    return Incoming(
        subject=headers.get(deadletter.SUBJECT) or headers.get(ORIGINAL) or key,
        message_id=headers.get(MESSAGE_ID, ""),
        headers=headers,
        body=message.body,
        raw=Delivered(lane, cast(Channel, message.channel), tag, returns, received),
        redelivered=returns > 0 or deadletter.ATTEMPTS in headers,
    )
