"""Clients that leave, and servers that are away."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.contracts.generation import GenerateText, GenerationCompleted, Outcome
from penstock_common.contracts.stream import Beat, Delta, Frame
from penstock_common.ids import uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import CATALOGUE_CHANGED, GENERATION_COMPLETED
from tests.conftest import Start
from tests.support import servers
from tests.support.api import USER, bearer
from tests.support.chat import CATALOGUE, QUESTION, Chat, chat_process
from tests.support.databases import Databases, beside, temporary_platform
from tests.support.fake_inference import TEXT, TOKENS, Call, answer, deltas, ended

PATH = "/v1/chat/completions"
CONTENT = re.compile('"content":"([^"]*)"')


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


async def test_requests_are_written_and_their_end_wins(chat_on_both: Chat, platform_databases: Databases) -> None:
    """An end that comes twice replaces an acceptance once, and is replaced by nothing that this process saw."""
    chat = chat_on_both
    await chat.post()
    command = chat.inference.calls[0].command
    assert await status_of(platform_databases, command.request_id, "accepted") == "accepted"
    event = envelop(completed(command), GENERATION_COMPLETED, message_id=f"{command.request_id}.1.completed")
    for _ in range(2):
        await chat.inference.bus.publish(event)
    assert await status_of(platform_databases, command.request_id, "succeeded") == "succeeded"
    chat.app.outlets.requests.accepted(command)
    chat.app.outlets.requests.lost(command, command.accepted_at)
    await asyncio.sleep(0.6)
    assert await status_of(platform_databases, command.request_id, "succeeded") == "succeeded"


async def test_end_makes_the_row_that_was_never_written(chat: Chat, platform_databases: Databases) -> None:
    """The process that accepted it died first."""
    await chat.post()
    unseen = msgspec.structs.replace(chat.inference.calls[0].command, request_id=uuid7())
    event = envelop(completed(unseen), GENERATION_COMPLETED, message_id=f"{unseen.request_id}.1.completed")
    await chat.inference.bus.publish(event)
    assert await status_of(platform_databases, unseen.request_id, "succeeded") == "succeeded"


def completed(command: GenerateText) -> GenerationCompleted:
    return GenerationCompleted(
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


async def test_older_catalogue_changes_nothing(chat: Chat, platform_databases: Databases) -> None:
    """What is kept for processes that start later is the newest version, in whatever order they come."""
    for version in (5, 4):
        event = CatalogueChanged(version=version, models=CATALOGUE.models)
        await chat.inference.bus.publish(envelop(event, CATALOGUE_CHANGED))
        await asyncio.sleep(0.5)
    connection = await asyncpg.connect(platform_databases.admin)
    assert await connection.fetchval("select version from api.catalogue") == 5
    await connection.close()
    assert chat.app.catalogue.version == 5


async def test_database_away_costs_no_answer_and_no_stop(nats_url: str, private_server: Start, tmp_path: Path) -> None:
    """Requests are answered without PostgreSQL; a stop waits for its return, and so does the history."""
    postgres = private_server(servers.postgres_server())
    async with (
        temporary_platform(beside(postgres.url, "postgres")) as databases,
        chat_process(databases, nats_url, tmp_path / "keyring") as chat,
    ):
        postgres.kill()
        assert (await chat.post()).status_code == 200
        answered = chat.inference.calls.pop().command.request_id
        chat.inference.script = keep_beating
        await leave_after_asking(chat, True)
        await asyncio.sleep(1)
        assert chat.inference.cancels == []
        postgres.start()
        assert (await chat.inference.cancelled()).request_id == chat.inference.calls[0].command.request_id
        assert await status_of(databases, answered, "accepted") == "accepted"


async def test_request_that_the_bus_lost_is_published_again_once(
    platform_databases: Databases, rabbitmq_url: str, tmp_path: Path
) -> None:
    """Inference knows nothing of it, twice: the same command comes again, marked, and is answered."""
    async with chat_process(platform_databases, rabbitmq_url, tmp_path / "keyring") as chat:

        async def script(call: Call) -> None:
            if call.command.republished:
                await answer(call)

        chat.inference.script = script
        assert (await chat.post()).status_code == 200
    first, second = (call.command for call in chat.inference.calls)
    assert second == msgspec.structs.replace(first, republished=True)


async def test_answer_that_never_comes_is_504_and_lost(
    platform_databases: Databases, nats_url: str, tmp_path: Path
) -> None:
    """Beats alone don't keep a client waiting beyond the deadline and the time its end needs."""

    async def script(call: Call) -> None:
        while True:
            call.say(Beat(1))
            await asyncio.sleep(1)

    async with chat_process(platform_databases, nats_url, tmp_path / "keyring", answer_seconds=1) as chat:
        chat.inference.script = script
        since = time.monotonic()
        response = await chat.post()
        assert (response.status_code, response.json()["error"]["code"]) == (504, "api.answer_lost")
        assert 5.5 < time.monotonic() - since < 7.5
        assert await status_of(platform_databases, response.headers["x-request-id"], "lost") == "lost"


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
    """The bound on open requests is a 429 that says when to try again."""
    async with chat_process(platform_databases, nats_url, tmp_path / "keyring", max_open=1) as chat:
        chat.inference.script = keep_beating
        body = {"model": "sim/fast", "messages": QUESTION, "stream": True}
        async with chat.client.stream("POST", PATH, json=body, headers=bearer(USER)):
            response = await chat.post()
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "api.busy"
        assert response.json()["error"]["type"] == "rate_limit_error"
        assert response.headers["retry-after"] == "1"


async def test_stream_that_outlives_the_grace_is_told_honestly(chat: Chat) -> None:
    """At a stop running streams get the grace, then an error instead of a silent cut."""
    chat.inference.script = keep_beating
    body = {"model": "sim/fast", "messages": QUESTION, "stream": True}
    async with chat.client.stream("POST", PATH, json=body, headers=bearer(USER)) as response:
        chat.server.should_exit = True
        text = (await response.aread()).decode()
    assert "api.stopping" in text
    assert "[DONE]" not in text


async def test_slow_reader_gets_the_whole_answer(chat: Chat) -> None:
    """What it has no room for is left out, and asked for again when it has read some."""
    piece = "flow " * 4000
    frames: list[Frame] = [Delta(1, 0, "content", i * len(piece), piece) for i in range(100)]
    end = ended({"0/content": 100 * len(piece)})

    async def script(call: Call) -> None:
        for frame in frames:
            call.say(frame)
        call.say(end)

    chat.inference.script, chat.inference.attached = script, [*frames, end]
    body = {"model": "sim/fast", "messages": QUESTION, "stream": True}
    text = ""
    async with chat.client.stream("POST", PATH, json=body, headers=bearer(USER)) as response:
        async for line in response.aiter_lines():
            text += "".join(CONTENT.findall(line))
            await asyncio.sleep(0.001)
    assert text == piece * 100
    assert all(attach.most for attach in chat.inference.attaches)
