"""A request that its client names is one request, however often it is sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from penstock_api.adapters.idempotency import Claim
from penstock_api.domain.keys import DEFAULT_PROJECT
from penstock_common.ids import uuid7
from tests.support.api import USER, bearer
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.inference import inference_process

pytestmark = pytest.mark.integration

BODY: dict[str, Any] = {"model": "sim/fast", "messages": [{"role": "user", "content": "Name a river."}]}
NAMED = {"Idempotency-Key": "river-1"}


@dataclass
class House:
    """Two api processes and one of inference."""

    databases: Databases
    first: ApiProcess
    second: ApiProcess

    async def count(self, outcome: str = "succeeded") -> int:
        """Rows of inference with this outcome."""
        connection = await asyncpg.connect(self.databases.services["inference"])
        try:
            query = "select count(*) from inference.generations where outcome = $1"
            return int(await connection.fetchval(query, outcome))
        finally:
            await connection.close()

    async def settled(self, request_id: str, status: str) -> None:
        """Wait until api's history says so."""
        connection = await asyncpg.connect(self.databases.services["api"])
        query = "select status from api.requests where request_id = $1"
        try:
            async with asyncio.timeout(10):
                while await connection.fetchval(query, UUID(request_id)) != status:
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()


@pytest.fixture
async def house(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """All of them, on each bus."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(inference_process(platform_databases, bus_url, tmp_path))
        keyring = tmp_path / "keyring"
        first = await stack.enter_async_context(api_process(platform_databases, bus_url, keyring))
        second = await stack.enter_async_context(api_process(platform_databases, bus_url, keyring))
        async with asyncio.timeout(10):
            while not (first.app.catalogue.version and second.app.catalogue.version):
                await asyncio.sleep(0.05)
        yield House(platform_databases, first, second)


async def ask(api: ApiProcess, key: bytes = b"river-1", **members: Any) -> httpx.Response:
    """Ask one of the processes, and read the whole answer."""
    headers = [(b"authorization", bearer(USER)["authorization"].encode()), (b"idempotency-key", key)]
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        return await client.post("/v1/chat/completions", json=BODY | members, headers=headers)


def content_of(stream: str) -> str:
    """The text of a streamed answer; fails where it has no end."""
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    chunks = [httpx.Response(200, content=event).json() for event in events]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


async def test_sent_again_it_is_answered_from_the_record(house: House) -> None:
    """On another process too: the same id, text and usage, marked, and nothing is generated."""
    once = await ask(house.first)
    again = await ask(house.second)
    assert (once.status_code, again.status_code) == (200, 200)
    assert once.json() == again.json()
    assert once.headers["x-request-id"] == again.headers["x-request-id"]
    assert ("idempotent-replayed" in once.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert await house.count() == 1


async def test_sent_again_while_it_streams_both_get_the_whole(house: House) -> None:
    """The retry comes to the same process and to another one while the first still reads."""
    slow: dict[str, Any] = {"model": "sim/slow", "stream": True, "max_tokens": 60}
    first = asyncio.create_task(ask(house.first, **slow))
    await asyncio.sleep(0.8)
    others = await asyncio.gather(ask(house.first, **slow), ask(house.second, **slow))
    texts = {content_of(response.text) for response in (await first, *others)}
    assert len(texts) == 1
    assert texts != {""}
    assert await house.count() == 1


async def test_asked_twice_at_once_it_runs_once(house: House) -> None:
    """Eight retries that do not wait for one another are one request."""
    answers = await asyncio.gather(*(ask(api) for api in (house.first, house.second) * 4))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await house.count() == 1


async def test_sent_again_on_the_same_process_it_streams_too(house: House) -> None:
    """The second client of one process reads along: its text begins while the first one still reads."""
    slow: dict[str, Any] = {"model": "sim/slow", "stream": True, "max_tokens": 120}
    first = asyncio.create_task(ask(house.first, **slow))
    await asyncio.sleep(0.8)
    headers = bearer(USER) | NAMED
    async with (
        httpx.AsyncClient(base_url=house.first.url, timeout=30) as client,
        client.stream("POST", "/v1/chat/completions", json=BODY | slow, headers=headers) as response,
    ):
        text = response.aiter_text()
        seen = await anext(text)
        assert not first.done()
        seen += "".join([part async for part in text])
    assert content_of(seen) == content_of((await first).text)


async def test_client_that_left_comes_back(house: House) -> None:
    """A named request goes on without its client; the retry gets the text from its beginning."""
    slow: dict[str, Any] = {"model": "sim/slow", "stream": True, "max_tokens": 60}
    async with httpx.AsyncClient(base_url=house.first.url, timeout=30) as client:
        headers = bearer(USER) | NAMED
        async with client.stream("POST", "/v1/chat/completions", json=BODY | slow, headers=headers) as response:
            seen = await anext(response.aiter_text())
    again = await ask(house.second, **slow)
    assert content_of(again.text)
    assert response.headers["x-request-id"] == again.headers["x-request-id"]
    assert "data: " in seen
    assert (await house.count("cancelled"), await house.count()) == (0, 1)


async def test_another_body_is_refused(house: House) -> None:
    """A key stands for one request: 409, in OpenAI's shape."""
    assert (await ask(house.first)).status_code == 200
    other = await ask(house.second, temperature=0.5)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "api.idempotency_key_reused"


async def test_after_a_failure_it_is_a_new_request(house: House) -> None:
    """A recorded failure is not repeated for a day."""
    failing: dict[str, Any] = {"model": "sim/flaky", "seed": 5}
    failed = await ask(house.first, **failing)
    assert failed.status_code == 503
    await house.settled(failed.headers["x-request-id"], "failed")
    again = await ask(house.first, **failing)
    assert again.headers["x-request-id"] != failed.headers["x-request-id"]
    assert await house.count("failed") == 2


async def test_process_that_died_before_it_published(house: House) -> None:
    """The row is there and the command never left: the retry publishes it, under the first id."""
    sealer, tenant, content = house.first.app.generations.sealer, DEFAULT_PROJECT, json.dumps(BODY)
    claim = Claim(tenant, sealer.mac(tenant, b"river-1"), sealer.mac(tenant, content.encode()), uuid7())
    assert await house.first.app.outlets.names.claim(claim) == claim.request_id
    async with httpx.AsyncClient(base_url=house.second.url, timeout=30) as client:
        answer = await client.post("/v1/chat/completions", content=content, headers=bearer(USER) | NAMED)
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, str(claim.request_id))
    assert await house.count() == 1


@pytest.mark.parametrize("key", [b"", b"a b", b"x" * 256, "umläut".encode()], ids=["empty", "blank", "long", "umlaut"])
async def test_keys_that_cannot_be_are_refused(house: House, key: bytes) -> None:
    """Empty, too long or not visible ASCII: 400 with the header's name."""
    answer = await ask(house.first, key)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "Idempotency-Key"
    assert await house.count() == 0
