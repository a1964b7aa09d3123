"""A stored message as people may see it: its fields by its contract, what is sealed only by its size."""

from typing import Any

import msgspec

from penstock_common.contracts.base import Contract
from penstock_common.errors import ContractViolated
from penstock_common.events.event import StoredEvent
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Topic
from penstock_common.topology import PLATFORM

TOPICS = {topic.subject: topic for topic in PLATFORM.topics}


def topic_of(event: StoredEvent) -> Topic | None:
    """The declared topic of an event; None where this version knows none."""
    return TOPICS.get(event.topic)


def decoded(event: StoredEvent) -> dict[str, Any]:
    """`contract` and `fields`, or a `problem` in place of the fields; bytes are said by their number alone."""
    topic = topic_of(event)
    if topic is None:
        return {"contract": None, "problem": f"this version knows no topic {event.topic}"}
    name = topic.contract.__name__
    incoming = Incoming(event.subject, event.message_id, event.headers, event.body, raw=None)
    try:
        message: Contract = opened(incoming, topic.contract)
    except ContractViolated as error:
        return {"contract": name, "problem": error.message}
    return {"contract": name, "fields": _told(msgspec.structs.asdict(message))}


def _told(value: Any) -> Any:
    """What may be shown of a value, as plain JSON."""
    if isinstance(value, bytes):
        return f"({len(value)} sealed bytes)" if value else ""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {str(key): _told(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_told(inner) for inner in value]
    return msgspec.to_builtins(value)
