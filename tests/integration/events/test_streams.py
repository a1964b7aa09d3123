"""Events by the sequence of a stream: on NATS; on RabbitMQ it is said why not."""

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from penstock.main import app
from penstock_common.contracts.keys import KeyCreated
from penstock_common.errors import PenstockError
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Outgoing
from penstock_common.topology import KEY_CREATED

pytestmark = pytest.mark.integration


async def said(url: str, count: int) -> list[Outgoing]:
    """Publish events; returns them in order."""
    bus = await connect_bus(url, "test")
    messages = [envelop(KeyCreated(key_id=uuid7(), tenant=uuid7(), version=n), KEY_CREATED) for n in range(count)]
    for message in messages:
        await bus.publish(message)
    await bus.close()
    return messages


async def listed(url: str, *arguments: str) -> Result:
    """What `events ls --stream API` gives."""
    command = ["events", "ls", "--stream", "API", "--bus", url, "--json", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, command)


async def test_a_stream_is_listed_from_a_sequence(nats_url: str) -> None:
    """In order, with the sequences, filtered as the outboxes are; a removed message is passed over."""
    await apply_topology(nats_url)
    messages = await said(nats_url, 6)
    everything = [json.loads(line) for line in (await listed(nats_url)).stdout.splitlines()]
    assert [each["message_id"] for each in everything] == [m.message_id for m in messages]
    assert everything[0]["service"] == "api"
    third = everything[2]["sequence"]
    behind = await listed(nats_url, "--from-sequence", str(third), "-n", "2")
    assert [json.loads(line)["sequence"] for line in behind.stdout.splitlines()] == [third, third + 1]
    one = await listed(nats_url, "--correlation", everything[4]["correlation"])
    assert [json.loads(line)["sequence"] for line in one.stdout.splitlines()] == [third + 2]
    assert not (await listed(nats_url, "--from-sequence", str(third + 99))).stdout


async def test_a_bus_without_the_stream_is_said(nats_url: str) -> None:
    """With what to do."""
    assert "penstock topology apply" in str((await listed(nats_url)).exception)


async def test_rabbitmq_has_no_sequences(rabbitmq_url: str) -> None:
    """That is said, and what has the events."""
    error = (await listed(rabbitmq_url)).exception
    assert isinstance(error, PenstockError)
    assert "RabbitMQ keeps no sequences" in str(error)
    assert "outboxes" in str(error)


async def test_a_bus_that_is_away_is_said() -> None:
    """In a sentence."""
    error = (await listed("nats://127.0.0.1:1")).exception
    assert isinstance(error, PenstockError)
    assert "can't be read" in str(error)
