"""Requests by their ids: their state, their whole answer, and their stop, on whichever process."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock_api.domain.keys import digest_of
from penstock_common.ids import uuid7
from tests.support.api import ADMIN, USER, bearer
from tests.support.chat import ApiProcess, chat_process
from tests.support.databases import Databases
from tests.support.fake_inference import Call
from tests.support.replicas import (
    CHAT,
    LONG,
    Cut,
    Replicas,
    begun,
    body_of,
    client_of,
    long_body,
    replicas_on,
    said,
    text_of,
)

pytestmark = pytest.mark.integration

STATE_TIMES = ("accepted_at", "started_at", "first_token_at", "ended_at")


@pytest.fixture
async def replicas(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """On each bus."""
    async with replicas_on(platform_databases, bus_url, tmp_path) as replicas:
        yield replicas


async def asked(api: ApiProcess, **members: Any) -> httpx.Response:
    """An answer in one piece."""
    async with client_of(api) as client:
        return await client.post(CHAT, json=body_of(model="sim/fast", stream=False) | members)


async def get(api: ApiProcess, path: str, key: str = USER) -> httpx.Response:
    """Ask one process."""
    async with client_of(api, key) as client:
        return await client.get(path)


async def delete(api: ApiProcess, path: str) -> httpx.Response:
    """Stop it, at one process."""
    async with client_of(api) as client:
        return await client.delete(path)


async def test_state_while_it_runs_and_once_it_has_ended(replicas: Replicas) -> None:
    """Any process tells it: the one that holds it, and one that never heard of it."""
    cut = await begun(replicas.first, 6)
    running = [(await get(api, cut.path)).json() for api in (replicas.first, replicas.second)]
    assert [state["state"] for state in running] == ["running"] * 2
    assert {state["attempts"] for state in running} == {1}
    whole = await cut.rest(replicas.second)
    ended = [(await get(api, cut.path)).json() for api in (replicas.first, replicas.second)]
    assert ended[0] == ended[1]
    assert ended[0]["state"] == "succeeded"
    assert (ended[0]["model"], ended[0]["asked"], ended[0]["streamed"]) == ("sim/slow", "sim/slow", True)
    assert ended[0]["tokens"]["measure"] == "measured"
    times = [ended[0][name] for name in STATE_TIMES]
    assert times == sorted(times)
    assert {"authenticate", "generate"} <= {decision["step"] for decision in ended[0]["decisions"]}
    assert whole[-1].data == "[DONE]"


async def test_result_is_what_the_client_got(replicas: Replicas) -> None:
    """Asked for whole, it is the same object; streamed, it says the same."""
    whole = await asked(replicas.first, n=2, logprobs=True)
    again = await get(replicas.second, f"/api/v1/inference/{whole.headers['x-request-id']}/result")
    assert (again.status_code, again.json()) == (200, whole.json())
    cut = await begun(replicas.first, 1, model="sim/fast", n=2, logprobs=True, seed=3)
    rest = await cut.rest(replicas.second)
    streamed = (await get(replicas.second, f"{cut.path}/result")).json()
    unstreamed = (await asked(replicas.first, n=2, logprobs=True, seed=3)).json()
    assert streamed["choices"] == unstreamed["choices"]
    assert streamed["usage"] == unstreamed["usage"]
    assert streamed["choices"][1]["message"]["content"] == said([*cut.seen, *rest], 1)


async def test_result_of_a_tool_call_is_put_together(replicas: Replicas) -> None:
    """Its id, name and arguments are those of the unstreamed answer."""
    function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    tools: dict[str, Any] = {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
        "max_tokens": 200,
    }
    cut = await begun(replicas.first, 1, model="sim/fast", **tools)
    await cut.rest(replicas.second)
    result = (await get(replicas.second, f"{cut.path}/result")).json()
    assert result["choices"] == (await asked(replicas.first, **tools)).json()["choices"]
    assert result["choices"][0]["finish_reason"] == "tool_calls"


async def test_result_that_is_not_there_says_why(replicas: Replicas) -> None:
    """Unfinished: 409 and when to ask again; failed: the failure, as its client heard it."""
    cut = await begun(replicas.first, 2)
    early = await get(replicas.second, f"{cut.path}/result")
    assert (early.status_code, early.json()["code"]) == (409, "api.answer_unfinished")
    assert early.headers["retry-after"] == "1"
    failed = await asked(replicas.first, model="sim/flaky", seed=5)
    later = await get(replicas.second, f"/api/v1/inference/{failed.headers['x-request-id']}/result")
    assert (later.status_code, later.json()["code"]) == (failed.status_code, failed.json()["error"]["code"])


async def test_result_of_embeddings(replicas: Replicas) -> None:
    """A list of vectors, as numbers."""
    async with client_of(replicas.first) as client:
        body = {"model": "local/all-minilm-l6-v2", "input": ["A river.", "A sea."]}
        answer = await client.post("/v1/embeddings", json=body)
    if answer.status_code == 404:
        pytest.fail("the local model is not served")
    again = await get(replicas.second, f"/api/v1/inference/{answer.headers['x-request-id']}/result")
    assert again.json() == answer.json()


async def test_unstreamed_answer_has_no_stream(replicas: Replicas) -> None:
    """409 that says where the answer is."""
    whole = await asked(replicas.first)
    refused = Cut(whole.headers["x-request-id"], [])
    assert await refused.status(replicas.second) == (409, "api.answer_not_streamed")


@pytest.mark.parametrize("path", ["", "/result", "/stream"])
async def test_what_is_not_the_callers_is_not_there(replicas: Replicas, path: str) -> None:
    """Another project's request and one that never was are told apart by nobody; what is no id is refused."""
    whole = await asked(replicas.first)
    request_id = whole.headers["x-request-id"]
    stranger = await key_of_another_project(replicas)
    answers = [
        await get(replicas.second, f"/api/v1/inference/{request_id}{path}", stranger),
        await get(replicas.second, f"/api/v1/inference/{uuid7()}{path}", stranger),
    ]
    bodies = [answer.json() | {"instance": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    assert (answers[0].status_code, bodies[0]["code"]) == (404, "api.inference_not_found")
    assert (await get(replicas.second, f"/api/v1/inference/river{path}")).status_code == 422
    assert (await get(replicas.second, f"/api/v1/inference/{request_id}{path}", "psk-nothing")).status_code == 401


async def test_stop_ends_the_engine_call_within_a_second(replicas: Replicas) -> None:
    """At the other process; its reader gets what existed, `cancelled` and the end, and a repeat says the same."""
    cut = await begun(replicas.first, 4, **long_body())
    reading = asyncio.create_task(cut.rest(replicas.first))
    await asyncio.sleep(0.3)
    since = time.monotonic()
    stopped = await delete(replicas.second, cut.path)
    took = time.monotonic() - since
    print(f"stopped {took:.3f} s after it was asked for")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")
    assert took < 3  # two seconds more than promised: a busy machine's
    rest = await reading
    assert json.loads(rest[-2].data)["choices"][0]["finish_reason"] == "cancelled"
    assert LONG[9:].startswith(text_of([*cut.seen, *rest]))
    assert (await delete(replicas.first, cut.path)).json() == stopped.json()
    tokens = stopped.json()["tokens"]
    assert (tokens["completion"] > 0, tokens["measure"]) == (True, "partial")
    late = await cut.rest(replicas.second, after="")
    assert text_of(late) == text_of([*cut.seen, *rest])


async def test_stop_of_what_has_ended_changes_nothing(replicas: Replicas) -> None:
    """200 with its outcome; of what never was, 404."""
    whole = await asked(replicas.first)
    path = f"/api/v1/inference/{whole.headers['x-request-id']}"
    before = (await get(replicas.second, path)).json()
    stopped = await delete(replicas.second, path)
    assert (stopped.status_code, stopped.json()) == (200, before)
    assert (await delete(replicas.first, f"/api/v1/inference/{uuid7()}")).status_code == 404


async def test_stops_race_completions(replicas: Replicas) -> None:
    """Whichever is first counts, for the reader, the state and the row alike."""

    for number in range(8):
        cut = await begun(replicas.first, 1, max_tokens=10, seed=number)
        reading = asyncio.create_task(cut.rest(replicas.first))
        await asyncio.sleep(number * 0.08)
        stopped = (await delete(replicas.second, cut.path)).json()["state"]
        text = "".join(event.data for event in await reading)
        read = "cancelled" if '"finish_reason":"cancelled"' in text else "succeeded"
        assert text.endswith("[DONE]")
        assert (stopped, read) == (await replicas.outcome(cut.request_id),) * 2


async def test_request_that_waits_is_queued_and_can_be_stopped(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Nobody has begun it: its state says so, its stop is kept (202), and a native stream tells at once."""
    async with chat_process(platform_databases, bus_url, tmp_path / "keyring") as chat:
        chat.inference.script = silent
        asking = asyncio.create_task(chat.post(stream=True))
        while not chat.inference.calls:
            await asyncio.sleep(0.01)
        path = f"/api/v1/inference/{chat.inference.calls[0].command.request_id}"
        async with chat.client.stream("GET", f"{path}/stream?native=1", headers=bearer(USER)) as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "event: state"
        state = await chat.client.get(path, headers=bearer(USER))
        assert (state.status_code, state.json()["state"]) == (200, "queued")
        stopped = await chat.client.delete(path, headers=bearer(USER))
        assert (stopped.status_code, stopped.json()["state"]) == (202, "queued")
        assert (await chat.inference.cancelled()).request_id == chat.inference.calls[0].command.request_id
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def silent(call: Call) -> None:
    """An inference that has not begun."""


async def key_of_another_project(replicas: Replicas) -> str:
    """The administrator's key, moved to a project of its own."""
    stranger = uuid7()
    async with replicas.second.app.database.transaction() as tx:
        await tx.connection.exec_driver_sql("insert into api.projects (id, name) values ($1, 'other')", (stranger,))
        moved = "update api.keys set project_id = $1 where sha256 = $2"
        await tx.connection.exec_driver_sql(moved, (stranger, digest_of(ADMIN)))
    await replicas.second.app.keys.refresh()
    return ADMIN
