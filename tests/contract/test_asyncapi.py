"""The AsyncAPI 3.0 document is the topology."""

from collections.abc import Iterator
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from penstock_common.asyncapi import document
from penstock_common.topology import PLATFORM

DOCUMENT = document(PLATFORM, "1.2.3")


def references(part: Any) -> Iterator[str]:
    """Every `$ref` within."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolved(reference: str) -> Any:
    """What a reference of the document points to (RFC 6901). Raises KeyError."""
    part: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        part = part[step.replace("~1", "/").replace("~0", "~")]
    return part


def test_it_reads_as_asyncapi() -> None:
    """FastStream's own model of AsyncAPI 3.0 takes every channel, operation and message of it."""
    read = ApplicationSchema.model_validate(DOCUMENT)
    assert read.asyncapi == "3.0.0"
    assert read.channels.keys() == DOCUMENT["channels"].keys()
    assert read.operations.keys() == DOCUMENT["operations"].keys()
    assert read.components
    assert read.components.messages
    assert read.components.messages.keys() == DOCUMENT["components"]["messages"].keys()


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_reference_resolves(reference: str) -> None:
    """Nothing points to what is not there."""
    assert isinstance(resolved(reference), dict)


def test_an_operations_messages_are_those_of_its_channel() -> None:
    """AsyncAPI 3.0, Operation Object: messages are a subset of the channel's, pointing into that channel."""
    operations = DOCUMENT["operations"].values()
    for operation in [*operations, *(o["reply"] for o in operations if "reply" in o)]:
        channel = operation["channel"]["$ref"]
        assert [m["$ref"].rpartition("/messages/")[0] for m in operation["messages"]] == [channel]


def test_every_consumer_says_how_it_retries() -> None:
    """Attempts, backoff, concurrency and dead letters stand beside each receiving operation."""
    for consumer in PLATFORM.consumers:
        said = DOCUMENT["operations"][f"{consumer.name}.receive"]
        assert said["action"] == "receive"
        assert resolved(said["channel"]["$ref"])["address"] == consumer.topic.subject
        assert said["x-penstock-consumer"]["attempts"] == consumer.max_attempts
        assert said["x-penstock-consumer"]["deadLetter"] == consumer.dead_letters


def test_every_topic_has_one_owner_that_speaks() -> None:
    """Events, commands and broadcasts are sent by their owner; questions are answered by theirs."""
    for topic in PLATFORM.topics:
        verb, action = ("answer", "receive") if topic.reply else ("send", "send")
        assert DOCUMENT["operations"][f"{topic.owner}.{verb}.{topic.subject}"]["action"] == action


def test_every_message_carries_cloudevents_headers() -> None:
    """The trait of all messages requires the attributes that CloudEvents 1.0 requires."""
    trait = resolved("#/components/messageTraits/cloudEvent")
    assert {"ce-specversion", "ce-id", "ce-type", "ce-source"} <= set(trait["headers"]["required"])
    for topic in PLATFORM.topics:
        message = resolved(f"#/components/messages/{topic.contract.__name__}")
        assert message["traits"] == [{"$ref": "#/components/messageTraits/cloudEvent"}]
        assert message["contentType"] == topic.wire.value
