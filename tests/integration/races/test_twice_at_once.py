"""The same request twice at once: published again, or sent again, while the first is being answered."""

import asyncio
import dataclasses
from pathlib import Path
from uuid import UUID

import pytest

from penstock_common.asking.commands import republished
from penstock_common.contracts.generation import GenerateText
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import make_bus
from penstock_inference.app import App
from tests.integration.races.track import Track, client
from tests.support.inference import inference_process
from tests.support.replicas import Replicas, client_of

pytestmark = pytest.mark.integration

COPIES = 4
HANDED_BACK = 3.5
"""Seconds within which a copy that was handed back is looked at again."""


async def publish_again(bus_url: str, command: GenerateText) -> None:
    """Publish copies that no bus takes for the message it has stored before."""
    bus = make_bus(bus_url, "test")
    await bus.connect()
    for _ in range(COPIES):
        await bus.publish(dataclasses.replace(republished(command), message_id=uuid7().hex), 5)
    await bus.close()


def command_of(inference: App, request_id: str) -> GenerateText:
    """The command that a process works on."""
    return inference.registry.runs[UUID(request_id)].command


async def test_published_again_while_its_owner_works(
    replicas: Replicas, track: Track, bus_url: str, tmp_path: Path
) -> None:
    """Another process and the owner itself get copies: one engine call, one attempt, one charge, one text."""
    async with client(replicas.first).reading() as stream:
        await stream.has(20)
        async with inference_process(replicas.databases, bus_url, tmp_path) as other:
            command = command_of(replicas.inference, stream.request_id)
            await publish_again(bus_url, command)
            await stream.over()
            row = await track.charged_as_recorded(stream.request_id)
            await asyncio.sleep(HANDED_BACK)
            assert (replicas.inference.registry.runs, other.registry.runs) == ({}, {})
    assert (row["outcome"], row["attempt"], row["measure"]) == ("succeeded", 1, "measured")
    assert await track.charged_as_recorded(stream.request_id) == row
    assert (track.calls(stream.request_id), await track.costs(stream.request_id)) == (1, 0)
    assert (stream.is_done, stream.finish) == (True, ["length"])


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.5, 2.9])
async def test_sent_again_while_the_first_is_answered(pause: float, replicas: Replicas, track: Track) -> None:
    """On the same process and on another one, at its beginning, in its middle and at its end: all get the whole."""
    named = {"Idempotency-Key": f"again-{pause}"}
    first = client(replicas.first, named)
    others = [client(api, named) for api in (replicas.first, replicas.second)]
    async with first.reading():
        await asyncio.sleep(pause)
        async with others[0].reading(), others[1].reading():
            for each in (first, *others):
                await each.over()
    assert {(each.request_id, each.text, each.is_done) for each in others} == {(first.request_id, first.text, True)}
    assert {tuple(each.finish) for each in (first, *others)} == {("length",)}
    assert (await track.charged_as_recorded(first.request_id))["attempt"] == 1
    assert track.calls(first.request_id) == 1


async def test_sent_again_while_the_first_is_stopped(replicas: Replicas, track: Track) -> None:
    """A retry that meets the stop of the first gets the same end: what was said, and that it was cancelled."""
    named = {"Idempotency-Key": "stopped"}
    first, again = client(replicas.first, named), client(replicas.second, named)
    async with first.reading(), client_of(replicas.second) as stopping:
        await first.has(20)
        async with again.reading():
            assert (await stopping.delete(f"/api/v1/inference/{first.request_id}")).status_code == 200
            await first.over()
            await again.over()
    assert (first.text, first.finish, first.is_done) == (again.text, ["cancelled"], True)
    assert (again.finish, again.is_done, again.request_id) == (["cancelled"], True, first.request_id)
    assert (await track.charged_as_recorded(first.request_id))["outcome"] == "cancelled"
    assert track.calls(first.request_id) == 1
