"""kill -9 to an api process: whoever does not come back within ten seconds has left."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from penstock_common.contracts.generation import Measure
from penstock_inference.app import App
from tests.integration.inference.listening.api_program import ApiProgram, api_program
from tests.integration.inference.listening.conftest import MODEL
from tests.integration.inference.listening.probe import Probe
from tests.support.databases import Databases
from tests.support.engine_fake import DONE, Answer, End, FakeEngine, chunk, event, usage_chunk

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

EARLIEST, LATEST = 10.0, 19.0  # seconds; by design 13.3 at most, the rest is a busy machine's
FIRST, REST = "Deep ", "and wide."
HOLDS = Answer([event(chunk(content=FIRST))], end=End.HANG)
GOES_ON = Answer(
    [
        event(chunk(content=FIRST)),
        LATEST + 1.0,
        *(event(c) for c in (chunk(content=REST), chunk(finish="stop"), usage_chunk(3, 2))),
        DONE,
    ]
)


@dataclass
class Client:
    """Somebody who reads a stream; it is cut when its api process dies."""

    request_id: UUID
    last_event_id: str
    text: str


@asynccontextmanager
async def client_of(api: ApiProgram) -> AsyncIterator[Client]:
    """Somebody who reads the beginning of an answer, and stays."""
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Tell me about the river."}]}
    async with api.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        client = Client(UUID(answer.headers["x-request-id"]), "", "")
        async for line in answer.aiter_lines():
            take(client, line)
            if client.text:
                break
        yield client


async def resumed(client: Client, api: ApiProgram) -> None:
    """Come back for the rest, to another process."""
    url, headers = f"/api/v1/inference/{client.request_id}/stream", {"last-event-id": client.last_event_id}
    async with api.client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        lines = [line async for line in answer.aiter_lines()]
    for line in lines:
        take(client, line)
    assert "data: [DONE]" in lines


def take(client: Client, line: str) -> None:
    """Read a line of a stream."""
    name, _, value = line.partition(": ")
    if name == "id":
        client.last_event_id = value
    elif name == "data" and value != "[DONE]":
        choices = json.loads(value)["choices"]
        client.text += (choices[0]["delta"].get("content") or "") if choices else ""


async def test_clients_of_a_killed_api_process_have_ten_seconds_to_come_back(
    inference: App, probe: Probe, upstream: FakeEngine, platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Who comes back gets the whole answer; who does not is charged for what was generated, and no more is."""
    program = partial(api_program, platform_databases, bus_url, tmp_path)
    async with program() as api, program() as other:
        await asyncio.gather(api.serves(MODEL), other.serves(MODEL))
        upstream.will(HOLDS)
        async with client_of(api) as leaving:
            upstream.will(GOES_ON)
            async with client_of(api) as returning:
                await api.kill()
                killed = time.monotonic()
        resuming = asyncio.create_task(resumed(returning, other))
        await asyncio.wait_for(upstream.left.wait(), 30)
        assert EARLIEST <= time.monotonic() - killed < LATEST
        assert not resuming.done()
        await asyncio.wait_for(resuming, 30)
    assert (leaving.text, returning.text) == (FIRST, FIRST + REST)
    cancelled, succeeded = [await probe.read(client.request_id, reply=False) for client in (leaving, returning)]
    assert (cancelled.outcome, succeeded.outcome) == ("cancelled", "succeeded")
    assert cancelled.tokens
    assert (cancelled.tokens.measure, cancelled.tokens.completion > 0) == (Measure.PARTIAL, True)
    assert cancelled.decisions[-1].reason == "client_left"
