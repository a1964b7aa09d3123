"""kill -9 or a stop of the api process that holds streams: they go on elsewhere, and nothing is generated again."""

import asyncio
import json
import time
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.api import USER, bearer
from tests.support.databases import Databases
from tests.support.replicas import (
    CHAT,
    Cut,
    Replicas,
    client_of,
    doomed_api,
    events_in,
    long_body,
    replicas_on,
    text_of,
)

pytestmark = pytest.mark.integration

STREAMS = 20
READY_SECONDS = 60.0


async def test_every_stream_of_a_killed_process_goes_on(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Twenty clients, cut at different places, miss nothing; each answer is generated once, and none is stopped."""
    async with replicas_on(platform_databases, bus_url, tmp_path) as replicas:
        with doomed_api(platform_databases, bus_url, tmp_path) as (url, process):
            async with httpx.AsyncClient(base_url=url, headers=bearer(USER), timeout=30) as client:
                await ready(client)
                going = asyncio.Event()
                reading = [asyncio.create_task(read(client, number, going)) for number in range(STREAMS)]
                await going.wait()
                process.kill()
                killed = time.monotonic()
                cuts = await asyncio.gather(*reading)
        assert all(cut.seen[-1].data != "[DONE]" for cut in cuts)
        rests = await asyncio.gather(*(cut.rest(replicas.second) for cut in cuts))
        print(f"all of them were whole {time.monotonic() - killed:.1f} s after the kill")
        for cut, rest in zip(cuts, rests, strict=True):
            assert text_of([*cut.seen, *rest]) == text_of(await cut.rest(replicas.first, after=""))
        assert await ends(replicas) == [("succeeded", 1)] * STREAMS


async def test_stream_of_a_stopped_process_goes_on(platform_databases: Databases, bus_url: str, tmp_path: Path) -> None:
    """At a planned stop the stream ends in an honest error, whose id is as good as any other."""
    async with replicas_on(platform_databases, bus_url, tmp_path) as replicas:
        async with (
            client_of(replicas.first) as client,
            client.stream("POST", CHAT, json=long_body() | {"max_tokens": 150}) as response,
        ):
            cut = Cut(response.headers["x-request-id"], [])
            async for event in events_in(response):
                cut.seen.append(event)
                replicas.first.server.should_exit = True
        told = json.loads(cut.seen[-1].data)["error"]
        assert told["code"] == "api.stopping"
        assert f"GET {cut.path}/stream" in told["message"]
        rest = await cut.rest(replicas.second)
        assert text_of([*cut.seen[:-1], *rest]) == text_of(await cut.rest(replicas.second, after=""))
        assert await ends(replicas) == [("succeeded", 1)]


async def ready(client: httpx.AsyncClient) -> None:
    """Wait until the process serves."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                answer = await client.get("/v1/models")
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200 and answer.json()["data"]:
                return
            await asyncio.sleep(0.1)


async def read(client: httpx.AsyncClient, number: int, going: asyncio.Event) -> Cut:
    """Read until the connection breaks; the last of the streams says when all have begun."""
    await asyncio.sleep(number * 0.03)
    cut = Cut("", [])
    try:
        async with client.stream("POST", CHAT, json=long_body() | {"max_tokens": 150}) as response:
            cut.request_id = response.headers["x-request-id"]
            async for event in events_in(response):
                cut.seen.append(event)
                if number == STREAMS - 1 and len(cut.seen) == 4:
                    going.set()
    except httpx.TransportError:
        return cut
    raise AssertionError("the stream ended before the process was killed")


async def ends(replicas: Replicas) -> list[tuple[str, int]]:
    """The outcome of each request and the attempt that it took."""
    connection = await asyncpg.connect(replicas.databases.services["inference"])
    try:
        rows = await connection.fetch("select outcome, attempt from inference.generations")
        return [(row["outcome"], row["attempt"]) for row in rows]
    finally:
        await connection.close()
