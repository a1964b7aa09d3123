"""Clients that leave, and servers that are away."""

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from penstock_common.contracts.generation import GenerationCompleted, Outcome
from penstock_common.contracts.stream import Beat, Delta
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import GENERATION_COMPLETED
from tests.conftest import Start
from tests.support import servers
from tests.support.api import USER, bearer
from tests.support.chat import QUESTION, Chat, chat_process
from tests.support.databases import Databases
from tests.support.fake_inference import TEXT, TOKENS, Call, deltas, ended

PATH = "/v1/chat/completions"


async def keep_beating(call: Call) -> None:
    """An engine that has not answered yet."""
    call.say(*deltas(TEXT[0])) if call.command.streamed else call.say(Beat(1))
    await asyncio.sleep(3600)


async def leave_after_asking(chat: Chat, stream: bool, **headers: str) -> None:
    """Open a request, and close the connection once inference has it."""
    body = {"model": "sim/fast", "messages": QUESTION, "stream": stream}
    asking = asyncio.create_task(chat.client.post(PATH, json=body, headers=bearer(USER) | headers))
    while not chat.inference.calls:
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_leaves_stops_its_generation_within_a_second(chat_on_both: Chat, stream: bool) -> None:
    """Streamed or not, a stop of this very request is heard."""
    chat = chat_on_both
    chat.inference.script = keep_beating
    await leave_after_asking(chat, stream)
    cancel = await chat.inference.cancelled(1.0)
    assert cancel.request_id == chat.inference.calls[0].command.request_id


async def test_generation_that_was_asked_to_continue_is_not_stopped(chat: Chat) -> None:
    """`x-penstock-on-disconnect: continue` outlives its client."""
    chat.inference.script = keep_beating
    await leave_after_asking(chat, True, **{"x-penstock-on-disconnect": "continue"})
    await asyncio.sleep(1)
    assert chat.inference.cancels == []


async def test_answered_request_is_not_stopped(chat: Chat) -> None:
    """Closing the connection after the answer means nothing."""
    assert (await chat.post(stream=True)).status_code == 200
    await asyncio.sleep(0.5)
    assert chat.inference.cancels == []


async def test_bus_away_is_503_within_two_seconds_and_served_after_its_return(
    platform_databases: Databases, private_server: Start, tmp_path: Path
) -> None:
    """Killed or frozen, no request waits longer; after its return all goes on by itself."""
    nats = private_server(servers.nats_server())
    async with chat_process(platform_databases, nats.url, tmp_path / "keyring") as chat:
        assert (await chat.post()).status_code == 200
        nats.freeze()
        await refused_in_time(chat)
        nats.thaw()
        nats.kill()
        await refused_in_time(chat)
        nats.start()
        async with asyncio.timeout(5):
            while (await chat.post()).status_code != 200:
                await asyncio.sleep(0.1)


async def refused_in_time(chat: Chat) -> None:
    since = time.monotonic()
    response = await chat.post()
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "server_error"
    assert int(response.headers["retry-after"]) >= 1
    assert time.monotonic() - since < 2


async def test_request_without_acknowledgement_is_cancelled_when_the_bus_is_back(
    platform_databases: Databases, private_server: Start, tmp_path: Path
) -> None:
    """Its client heard 503, so nobody may pay for it."""
    nats = private_server(servers.nats_server())
    async with chat_process(platform_databases, nats.url, tmp_path / "keyring") as chat:
        nats.freeze()
        response = await chat.post()
        nats.thaw()
        cancel = await chat.inference.cancelled()
        assert str(cancel.request_id) == response.headers["x-request-id"]
        assert await status_of(platform_databases, cancel.request_id, "refused") == "refused"


async def test_requests_are_written_and_their_end_wins(chat: Chat, platform_databases: Databases) -> None:
    """An end makes the missing row, replaces an acceptance, and is replaced by none."""
    response = await chat.post()
    command = chat.inference.calls[0].command
    assert await status_of(platform_databases, command.request_id, "accepted") == "accepted"
    event = GenerationCompleted(
        request_id=command.request_id,
        attempt=1,
        tenant=command.tenant,
        key_id=command.key_id,
        model=command.model,
        deployment="sim",
        provider="sim",
        outcome=Outcome.SUCCEEDED,
        tokens=TOKENS,
        price_version=1,
        streamed=False,
        accepted_at=command.accepted_at,
        started_at=command.accepted_at,
        completed_at=command.accepted_at,
    )
    id_ = f"{command.request_id}.1.completed"
    await chat.inference.bus.publish(envelop(event, GENERATION_COMPLETED, message_id=id_))
    assert await status_of(platform_databases, command.request_id, "succeeded") == "succeeded"
    chat.app.outlets.requests.accepted(command)
    chat.app.outlets.requests.lost(command, command.accepted_at)
    await asyncio.sleep(0.6)
    assert await status_of(platform_databases, command.request_id, "succeeded") == "succeeded"
    assert response.status_code == 200


async def status_of(databases: Databases, request_id: Any, expected: str) -> str | None:
    """The status in the history, once it is the expected one or three seconds have passed."""
    connection = await asyncpg.connect(databases.admin)
    try:
        end = time.monotonic() + 3
        while True:
            statement = "select status from api.requests where request_id = $1"
            status: str | None = await connection.fetchval(statement, request_id)
            if status == expected or time.monotonic() > end:
                return status
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_full_process_refuses_more(platform_databases: Databases, nats_url: str, tmp_path: Path) -> None:
    """The bound on open requests is a 503 that says when to try again."""
    async with chat_process(platform_databases, nats_url, tmp_path / "keyring", max_open=1) as chat:
        chat.inference.script = keep_beating
        body = {"model": "sim/fast", "messages": QUESTION, "stream": True}
        async with chat.client.stream("POST", PATH, json=body, headers=bearer(USER)):
            response = await chat.post()
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "api.busy"
        assert response.headers["retry-after"] == "1"


async def test_stream_that_outlives_the_grace_is_told_honestly(chat: Chat) -> None:
    """At a stop running streams get the grace, then an error instead of a silent cut, and their generation ends."""
    chat.inference.script = keep_beating
    body = {"model": "sim/fast", "messages": QUESTION, "stream": True}
    async with chat.client.stream("POST", PATH, json=body, headers=bearer(USER)) as response:
        chat.server.should_exit = True
        text = (await response.aread()).decode()
    assert "api.stopping" in text
    assert "[DONE]" not in text


async def test_slow_reader_gets_the_whole_answer(chat: Chat) -> None:
    """What it has not read yet waits as text, not as rendered events."""
    piece = "flow " * 4000

    async def script(call: Call) -> None:
        for i in range(100):
            call.say(Delta(1, 0, "content", i * len(piece), piece))
        call.say(ended({"0/content": 100 * len(piece)}))

    chat.inference.script = script
    body = {"model": "sim/fast", "messages": QUESTION, "stream": True}
    size = 0
    async with chat.client.stream("POST", PATH, json=body, headers=bearer(USER)) as response:
        async for line in response.aiter_lines():
            size += line.count("flow ")
            await asyncio.sleep(0.001)
    assert size == 100 * 4000
