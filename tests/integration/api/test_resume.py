"""A stream that was cut goes on where it was cut, on whichever process its client comes to."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import openai
import pytest

from penstock_common.ids import uuid7
from tests.support.api import USER, bearer
from tests.support.chat import Chat
from tests.support.databases import Databases
from tests.support.replicas import (
    CHAT,
    Cut,
    Replicas,
    begun,
    body_of,
    client_of,
    events_in,
    long_body,
    replicas_on,
    said,
    text_of,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def replicas(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """On each bus."""
    async with replicas_on(platform_databases, bus_url, tmp_path) as replicas:
        yield replicas


async def test_cut_anywhere_it_goes_on_elsewhere(replicas: Replicas) -> None:
    """Cut again and again, each time to the other process: every chunk once and in order, of one generation."""
    chance = random.Random(7)
    cut = await begun(replicas.first, 1)
    whole = asyncio.create_task(cut.rest(replicas.second, after=""))
    apis = [replicas.second, replicas.first]
    while cut.seen[-1].data != "[DONE]":
        await cut.more(apis[0], chance.randint(1, 12))
        apis.reverse()
    assert text_of(cut.seen) == text_of(await whole) != ""
    assert len({event.id for event in cut.seen}) == len(cut.seen)
    assert await replicas.outcomes() == ["succeeded"]


async def test_many_resume_at_once(replicas: Replicas) -> None:
    """Eight clients on two processes, from three places: each gets what it lacks, of one generation."""
    cut = await begun(replicas.first, 9)
    places = ["", cut.seen[2].id, cut.seen[-1].id]
    asked = [(api, place) for api in (replicas.first, replicas.second) for place in (*places, places[0])]
    rests = await asyncio.gather(*(cut.rest(api, after=place) for api, place in asked))
    before = {"": [], places[1]: cut.seen[:3], places[2]: cut.seen}
    texts = {text_of([*before[place], *rest]) for (_, place), rest in zip(asked, rests, strict=True)}
    assert len(texts) == 1
    assert await replicas.outcomes() == ["succeeded"]


async def test_finished_it_is_read_from_the_record(replicas: Replicas) -> None:
    """From each of its events on, also from inside of its end, and with the token counts it was asked for."""
    whole = await finished(replicas, stream_options={"include_usage": True}, n=2)
    closing = len(whole.seen) - 4
    for at, event in enumerate(whole.seen[:-1]):
        rest = await whole.rest(replicas.second, after=event.id)
        for choice in (0, 1):
            assert said(rest, choice) == said(whole.seen[at + 1 :], choice)
        assert rest[-4:] == whole.seen[max(at + 1, closing) :]
    before = await counted(replicas, "nothing_new")
    assert await whole.status(replicas.second, whole.seen[-1].id) == (204, "")
    assert await whole.status(replicas.first, whole.seen[-1].id, path="/stream?native=1") == (204, "")
    assert await counted(replicas, "nothing_new") == before + 2


async def counted(replicas: Replicas, outcome: str) -> float:
    """Resumed streams with this outcome, as Prometheus reads it."""
    async with client_of(replicas.first) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    name = f'penstock_streams_resumed_total{{outcome="{outcome}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


async def finished(replicas: Replicas, **members: Any) -> Cut:
    """A short answer that was read to its end."""
    async with client_of(replicas.first) as client:
        body = body_of(model="sim/fast", max_tokens=12, **members)
        async with client.stream("POST", CHAT, json=body) as response:
            seen = [event async for event in events_in(response)]
    whole = Cut(response.headers["x-request-id"], seen)
    await replicas.outcome(whole.request_id)
    return whole


async def test_stream_expires_and_its_result_stays(
    platform_databases: Databases, nats_url: str, tmp_path: Path
) -> None:
    """So long after its end it is 410, which says where the whole answer is."""
    async with replicas_on(platform_databases, nats_url, tmp_path, resume_seconds=1.5) as replicas:
        whole = await finished(replicas)
        assert await whole.status(replicas.second, whole.seen[-1].id) == (204, "")
        await asyncio.sleep(1.6)
        assert await whole.status(replicas.second, whole.seen[0].id) == (410, "api.stream_expired")
        async with client_of(replicas.second) as client:
            problem = (await client.get(f"{whole.path}/stream")).json()
            result = await client.get(problem["detail"].rsplit(" ", 1)[1].rstrip("."))
        assert result.json()["choices"][0]["message"]["content"] == text_of(whole.seen)


@pytest.mark.parametrize(
    "position", ["1", "1:0c=5", "1:0c=5.zz", "x" * 5000, "1:0c=5.0!-1", "01:", "1:0c=5.0,0c=6.0", "1:0c=\xb2.0"]
)
async def test_positions_that_cannot_be_are_refused(chat_on_both: Chat, position: str) -> None:
    """400 that names what was wrong, before anybody is asked for the request."""
    path = f"/api/v1/inference/{uuid7()}/stream"
    for given in ({"params": {"after": position}}, {"headers": {"last-event-id": position.encode("latin-1")}}):
        answer = await chat_on_both.client.get(path, **(given | {"headers": bearer(USER) | given.get("headers", {})}))
        assert (answer.status_code, answer.json()["code"]) == (400, "api.position_invalid")


async def test_position_of_another_answer_is_an_honest_error(replicas: Replicas) -> None:
    """Text that the answer never said, or more of it: an error instead of a seam; a native stream begins anew."""
    whole = await finished(replicas)
    for position in ("1:0c=5.deadbeef", "1:0c=5000.deadbeef"):
        assert await whole.status(replicas.second, position) == (503, "api.answer_diverged")
    assert await whole.status(replicas.second, "0:0c=5.deadbeef") == (503, "api.answer_diverged")
    assert await whole.status(replicas.second, "7:0c=5.deadbeef") == (400, "api.position_invalid")
    anew = await whole.rest(replicas.second, "1:0c=5.deadbeef", "?native=1")
    assert [event.kind for event in anew if event.kind] == ["state", "attempt", "end"]
    assert '"restarts":true' in next(event.data for event in anew if event.kind == "attempt")
    assert text_of(anew) == text_of(whole.seen)


async def test_native_stream_tells_state_attempts_and_end(replicas: Replicas) -> None:
    """Beside the same chunks; each of its events carries the position, too."""
    running = {"messages": long_body()["messages"], "max_tokens": 100}  # still, when a busy machine comes back to it
    cut = await begun(replicas.first, 5, **running)
    native, plain = await asyncio.gather(
        cut.rest(replicas.second, "", "?native=1"), cut.rest(replicas.first, "", "?native=0")
    )
    kinds = [event for event in native if event.kind]
    assert [event.kind for event in kinds] == ["state", "end"]
    state, end = (json.loads(event.data) for event in kinds)
    assert (state["state"], state["attempts"], state["id"]) == ("running", 1, cut.request_id)
    assert (end["state"], end["error"]) == ("succeeded", None)
    assert end["tokens"]["completion"] > 0
    assert all(event.id for event in native)
    assert text_of(native) == text_of(plain)
    assert not any(event.kind for event in plain)


async def test_openai_client_sees_nothing_unusual(replicas: Replicas) -> None:
    """The unmodified package reads the stream, whose ids it does not know."""
    async with openai.AsyncOpenAI(base_url=f"{replicas.first.url}/v1", api_key=USER, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="sim/fast",
            messages=[{"role": "user", "content": "Name a river."}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{stream.response.headers['x-request-id']}"}
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert all(set(chunk.model_extra or ()) == set() for chunk in chunks)


async def test_resumed_client_that_leaves_last_stops_the_generation(replicas: Replicas) -> None:
    """While another one reads, on whichever process, it goes on; then it ends within a second."""
    async with (
        client_of(replicas.first) as first,
        client_of(replicas.second) as second,
        first.stream("POST", CHAT, json=long_body()) as original,
    ):
        events = events_in(original)
        cut = Cut(original.headers["x-request-id"], [await anext(events)])
        async with second.stream("GET", f"{cut.path}/stream") as resumed:
            again = events_in(resumed)
            await anext(again)
            await original.aclose()
            await asyncio.sleep(1)
            assert UUID(cut.request_id) in replicas.inference.registry.runs
            await anext(again)
    assert await replicas.outcome(cut.request_id, 1.5) == "cancelled"
