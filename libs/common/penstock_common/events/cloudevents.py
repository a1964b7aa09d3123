"""Stored events as CloudEvents 1.0 in structured JSON, one line each, and back without loss.

Headers become attributes: `ce-type` is `type`, `penstock-tenant` the extension `penstocktenant`. What only the outbox
knows travels in extensions of its own, `outbox…`. A body of JSON stands as it is in `data`, any other in `data_base64`.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Wire
from penstock_common.errors import ContractViolated
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import ATTRIBUTE, SelectionInvalid, header_of
from penstock_common.ids import day_made
from penstock_common.messaging.envelope import CONTENT_TYPE, MESSAGE_ID

OWN = "penstock-"
OUTBOX = "outbox"
DATA = ("data", "data_base64")
NAMES = {CONTENT_TYPE: "datacontenttype", "traceparent": "traceparent"}

UNREADABLE = (msgspec.MsgspecError, KeyError, ValueError, OverflowError, RecursionError, SelectionInvalid)

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def as_line(event: StoredEvent) -> bytes:
    """A CloudEvent on one line, without its end. Raises ContractViolated for a header that has no name there."""
    attributes: dict[str, Any] = {attribute_of(name): value for name, value in event.headers.items()}
    attributes |= {
        "outboxservice": event.service,
        "outboxrow": str(event.id),
        "outboxsubject": event.subject,
        "outboxstream": event.stream,
        "outboxcreated": event.created_at,
    }
    if event.message_id != event.headers.get(MESSAGE_ID):  # said once more, by an act
        attributes["outboxmessage"] = event.message_id
    if event.published_at:
        attributes["outboxpublished"] = event.published_at
    return msgspec.json.encode(attributes | _data(event))


def parse_line(line: bytes) -> StoredEvent:
    """The event of a line that `as_line` made. Raises ContractViolated."""
    try:
        fields = _decode(line)
        body = _body(fields)
        texts = {name: msgspec.json.decode(value, type=str) for name, value in fields.items() if name not in DATA}
        return _event({n: v for n, v in texts.items() if not n.startswith(OUTBOX)}, texts, body)
    except UNREADABLE as error:
        raise ContractViolated(f"no event of an outbox: {error}") from error


def attribute_of(header: str) -> str:
    """The attribute that stands for a header. Raises ContractViolated where it would not be that header again."""
    name = NAMES.get(header) or (header.replace("-", "") if header.startswith(OWN) else header.removeprefix("ce-"))
    is_taken = name in DATA or name.startswith(OUTBOX)
    if is_taken or not ATTRIBUTE.fullmatch(name) or header_of(name) != header:
        raise ContractViolated(f"header {header[:60]!r} has no CloudEvents attribute")
    return name


def _data(event: StoredEvent) -> dict[str, Any]:
    if event.headers.get(CONTENT_TYPE) == Wire.JSON and _is_plain_json(event.body):
        return {"data": msgspec.Raw(event.body)}
    return {"data_base64": b64encode(event.body).decode()}


def _is_plain_json(body: bytes) -> bool:
    """Whether a body is JSON that survives, byte for byte, as a value on a line."""
    if b"\n" in body or b"\r" in body or body != body.strip():
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _body(fields: Mapping[str, msgspec.Raw]) -> bytes:
    if "data" in fields:
        return bytes(fields["data"])
    return b64decode(msgspec.json.decode(fields["data_base64"], type=str), validate=True)


def _event(attributes: Mapping[str, str], outbox: Mapping[str, str], body: bytes) -> StoredEvent:
    id_ = UUID(outbox["outboxrow"])
    headers = {header_of(name): value for name, value in attributes.items()}
    published = outbox.get("outboxpublished")
    return StoredEvent(
        service=outbox["outboxservice"],
        day=day_made(id_),
        id=id_,
        subject=outbox["outboxsubject"],
        stream=outbox["outboxstream"],
        message_id=outbox.get("outboxmessage") or headers[MESSAGE_ID],
        headers=headers,
        body=body,
        created_at=datetime.fromisoformat(outbox["outboxcreated"]),
        published_at=datetime.fromisoformat(published) if published else None,
    )
