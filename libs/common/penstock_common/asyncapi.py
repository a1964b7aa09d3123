"""The AsyncAPI 3.0 document of a topology: what is said on the bus, by whom, to whom, and how it is retried."""

from collections.abc import Iterator
from typing import Any

import msgspec

from penstock_common.contracts.base import Contract, Wire
from penstock_common.messaging.envelope import CAUSATION, CORRELATION, FINGERPRINT, MESSAGE_ID, TENANT, TRACEPARENT
from penstock_common.messaging.topology import Consumer, Topic, Topology

Json = dict[str, Any]

VERSION = "3.0.0"
SCHEMAS = "#/components/schemas/{name}"
REQUIRED_HEADERS: dict[str, Json] = {
    "ce-specversion": {"const": "1.0"},
    MESSAGE_ID: {"description": "A uuid7, or one with a suffix; copies of one message share it."},
    "ce-type": {"description": "`penstock.` and the subject."},
    "ce-source": {"description": "`penstock/` and the service."},
    "ce-time": {"format": "date-time"},
    "ce-subject": {"description": "The id of what the message is about."},
    "content-type": {"enum": [wire.value for wire in Wire]},
    FINGERPRINT: {"pattern": "^[0-9a-f]{16}$", "description": "Equal for copies of one message."},
}
OPTIONAL_HEADERS: dict[str, Json] = {
    TENANT: {"format": "uuid"},
    CORRELATION: {"description": "The request that all of this belongs to."},
    CAUSATION: {"description": "The id of the message that led to this one."},
    TRACEPARENT: {"description": "W3C Trace Context."},
}


def document(topology: Topology, version: str) -> Json:
    """The whole topology as an AsyncAPI document; the same topology gives the same bytes."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Penstock",
            "version": version,
            "description": "Every message between Penstock's services, on NATS JetStream and on RabbitMQ alike.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": Wire.JSON.value,
        "channels": {key: channel for topic in topology.topics for key, channel in _channels(topic)},
        "operations": dict(_operations(topology)),
        "components": _components(topology),
    }


def _contracts(topology: Topology) -> list[type[Contract]]:
    replies = (topic.reply for topic in topology.topics)
    return [*(topic.contract for topic in topology.topics), *filter(None, replies)]


def _components(topology: Topology) -> Json:
    contracts = _contracts(topology)
    _, schemas = msgspec.json.schema_components(contracts, ref_template=SCHEMAS)
    headers = {name: {"type": "string"} | rule for name, rule in (REQUIRED_HEADERS | OPTIONAL_HEADERS).items()}
    return {
        "messageTraits": {
            "cloudEvent": {"headers": {"type": "object", "required": list(REQUIRED_HEADERS), "properties": headers}}
        },
        "messages": {topic.contract.__name__: _message(topic) for topic in topology.topics}
        | {topic.reply.__name__: _answer(topic.reply) for topic in topology.topics if topic.reply},
        "schemas": dict(sorted(schemas.items())),
    }


def _message(topic: Topic) -> Json:
    message = _answer(topic.contract) | {"contentType": topic.wire.value}
    return message | {"traits": [_ref("components", "messageTraits", "cloudEvent")]}


def _answer(contract: type[Contract]) -> Json:
    return {
        "name": contract.__name__,
        "summary": (contract.__doc__ or "").splitlines()[0],
        "payload": _ref("components", "schemas", contract.__name__),
    }


def _channels(topic: Topic) -> Iterator[tuple[str, Json]]:
    stored = {"x-penstock-stream": topic.stream} if topic.stream else {}
    yield topic.subject, _channel(topic.subject, topic.contract) | {"x-penstock-kind": topic.kind.value} | stored
    if topic.reply:
        yield f"{topic.subject}.reply", _channel(None, topic.reply)


def _channel(address: str | None, contract: type[Contract]) -> Json:
    """A channel of one message; answers go to an address that the question names (null)."""
    return {
        "address": address,
        "messages": {contract.__name__: _ref("components", "messages", contract.__name__)},
    }


def _operations(topology: Topology) -> Iterator[tuple[str, Json]]:
    for topic in topology.topics:
        if topic.reply:
            yield f"{topic.owner}.answer.{topic.subject}", _operation("receive", topic) | _reply(topic, topic.reply)
        else:
            yield f"{topic.owner}.send.{topic.subject}", _operation("send", topic)
    for consumer in topology.rows:
        yield f"{consumer.name}.receive", _operation("receive", consumer.topic) | _delivery(consumer)


def _operation(action: str, topic: Topic) -> Json:
    return {
        "action": action,
        "channel": _ref("channels", topic.subject),
        "messages": [_ref("channels", topic.subject, "messages", topic.contract.__name__)],
    }


def _reply(topic: Topic, reply: type[Contract]) -> Json:
    channel = f"{topic.subject}.reply"
    return {
        "reply": {
            "channel": _ref("channels", channel),
            "messages": [_ref("channels", channel, "messages", reply.__name__)],
        }
    }


def _delivery(consumer: Consumer) -> Json:
    """How a consumer's messages are retried, isolated and buried; seconds throughout."""
    batch = consumer.batch
    return {
        "x-penstock-consumer": {
            "service": consumer.service,
            "attempts": consumer.max_attempts,
            "backoff": list(consumer.backoff),
            "concurrency": consumer.concurrency,
            "runner": consumer.runner.value,
            "batch": {"size": batch.size, "within": batch.within_ms / 1000} if batch else None,
            "quarantine": consumer.quarantine.name if consumer.quarantine else None,
            "deadLetter": consumer.dead_letters,
        }
    }


def _ref(*path: str) -> Json:
    """A reference within the document (RFC 6901)."""
    return {"$ref": "/".join(("#", *(part.replace("~", "~0").replace("/", "~1") for part in path)))}
