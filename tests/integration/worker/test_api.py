"""Tasks and runs over HTTP: api and worker together, on each bus."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock_common.ids import uuid7
from tests.support.api import ADMIN, USER, bearer
from tests.support.chat import api_process
from tests.support.databases import Databases
from tests.support.tools import Tool
from tests.support.working import worker_process

pytestmark = pytest.mark.integration

TASKS, RUNS = "/api/v1/tasks", "/api/v1/runs"
COUNT = {"steps": [{"kind": "state", "name": "count", "key": "k", "add": {"n": 1}}]}


@pytest.fixture
async def client(
    platform_databases: Databases, bus_url: str, tmp_path: Path, tool: Tool
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key, of api beside a worker."""
    keyring = tmp_path / "keyring"
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(api_process(platform_databases, bus_url, keyring))
        await stack.enter_async_context(worker_process(platform_databases.services["worker"], bus_url, keyring))
        connected = httpx.AsyncClient(base_url=api.url, headers=bearer(USER), timeout=20)
        yield await stack.enter_async_context(connected)


async def start(client: httpx.AsyncClient, task: Any, given: Any = None, **headers: str) -> str:
    """A run's id."""
    answer = await client.post(RUNS, json={"task": task, "input": given}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def events(client: httpx.AsyncClient, run_id: str, **query: Any) -> list[dict[str, Any]]:
    """A run's events until their end."""
    answer = await client.get(f"{RUNS}/{run_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    blocks = [block.splitlines() for block in answer.text.split("\n\n") if block]
    found = [dict(line.split(": ", 1) for line in block) for block in blocks]
    return [{"id": int(event["id"]), "kind": event["event"], **json.loads(event["data"])} for event in found]


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The sentence of a refusal."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return str(answer.json()["detail"])


async def test_a_task_is_declared_run_watched_and_removed(client: httpx.AsyncClient) -> None:
    """Each answer is true at once: what was saved is there, what was started can be watched to its end."""
    saved = (await client.put(f"{TASKS}/count", json=COUNT)).json()
    assert (saved["name"], saved["version"], saved["declaration"]) == ("count", 1, COUNT)
    assert (await client.put(f"{TASKS}/count", json=COUNT)).json()["version"] == 2
    run_id = await start(client, "count")
    seen = await events(client, run_id)
    assert [event["kind"] for event in seen] == ["run.started", "step.started", "step.finished", "run.finished"]
    assert [event["id"] for event in seen] == [1, 2, 3, 4]
    assert seen[2]["detail"]["output"]["after"] == {"n": 1}
    run = (await client.get(f"{RUNS}/{run_id}")).json()
    assert (run["state"], run["output"]["after"], run["step"], run["steps"]) == ("succeeded", {"n": 1}, 1, 1)
    assert [shown["id"] for shown in (await client.get(RUNS, params={"task": "count"})).json()["runs"]] == [run_id]
    assert (await client.delete(f"{TASKS}/count")).status_code == 204
    refused(await client.get(f"{TASKS}/count"), 404, "api.task_not_found")
    refused(await client.post(RUNS, json={"task": "count"}), 404, "api.task_not_found")


async def test_events_go_on_from_where_a_client_was_cut(client: httpx.AsyncClient) -> None:
    """By header or parameter; after the last one there is nothing, which browsers take as the end."""
    run_id = await start(client, COUNT)
    whole = await events(client, run_id)
    assert await events(client, run_id, after=2) == whole[2:]
    resumed = await client.get(f"{RUNS}/{run_id}/events", headers={"last-event-id": "3"})
    assert resumed.text.startswith("id: 4\n")
    assert (await client.get(f"{RUNS}/{run_id}/events", params={"after": 4})).status_code == 204
    bad = await client.get(f"{RUNS}/{run_id}/events", headers={"last-event-id": "x"})
    refused(bad, 422, "api.invalid_request")


async def test_events_arrive_as_they_happen(client: httpx.AsyncClient, tool: Tool) -> None:
    """And a cancel ends the run within a second and a half, as its stream shows."""
    slow = {"steps": [{"kind": "http", "name": "slow", "url": f"{tool.url}/slow?s=20"}]}
    run_id = await start(client, slow)
    kinds: list[str] = []
    async with client.stream("GET", f"{RUNS}/{run_id}/events") as stream, asyncio.timeout(5):
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            if kinds[-1:] == ["step.started"] and not line:
                cancelled = await client.post(f"{RUNS}/{run_id}/cancel")
    assert kinds == ["run.started", "step.started", "run.finished"]
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")


async def test_a_named_run_is_one(client: httpx.AsyncClient) -> None:
    """However often it is asked for; another body under the name is refused."""
    name = {"idempotency-key": "once"}
    ids = {await start(client, COUNT, **name) for _ in range(3)}
    assert len(ids) == 1
    other = await client.post(RUNS, json={"task": COUNT, "input": 1}, headers=name)
    refused(other, 409, "api.idempotency_key_reused")


async def test_what_belongs_to_others_is_not_there(client: httpx.AsyncClient) -> None:
    """Nor is what never was; and a key is asked for."""
    unknown = f"{RUNS}/{uuid7()}"
    refused(await client.get(unknown), 404, "api.run_not_found")
    refused(await client.get(f"{unknown}/events"), 404, "api.run_not_found")
    refused(await client.post(f"{unknown}/cancel"), 404, "api.run_not_found")
    refused(await client.get(RUNS, headers={"authorization": ""}), 401, "api.key_missing")
    made = await client.post("/api/v1/keys", json={"scopes": ["usage:read"]}, headers=bearer(ADMIN))
    refused(await client.get(RUNS, headers=bearer(made.json()["key"])), 403, "api.scope_missing")


@pytest.mark.parametrize(
    ("declaration", "said"),
    [
        ([], "array"),
        ({}, "steps"),
        ({"steps": []}, "`steps`"),
        ({"steps": [{"kind": "dance", "name": "a"}]}, "`steps[0].kind`"),
        ({"steps": [{"kind": "http", "name": "A", "url": "x"}]}, "1 to 32 characters"),
        ({"steps": [{"kind": "http", "name": "a", "url": "{{ steps.b.output }}"}]}, "`steps[0].url`"),
        ({"steps": [{"kind": "http", "name": "a", "url": "x", "when": "open('f')"}]}, "`steps[0].when`"),
    ],
)
async def test_a_declaration_that_is_none_is_refused(client: httpx.AsyncClient, declaration: Any, said: str) -> None:
    """With the place and what is allowed there, saved or run."""
    assert said in refused(await client.put(f"{TASKS}/bad", json=declaration), 422, "common.task_invalid")
    if isinstance(declaration, dict):
        answer = await client.post(RUNS, json={"task": declaration})
        assert said in refused(answer, 422, "common.task_invalid")


async def test_a_body_too_large_is_refused(client: httpx.AsyncClient) -> None:
    """Before anything of it is looked at."""
    large = {"steps": [{"kind": "http", "name": "a", "url": "x", "body": "x" * 70_000}]}
    assert "64 KiB" in refused(await client.put(f"{TASKS}/large", json=large), 413, "api.body_too_large")
    refused(await client.post(RUNS, json={"task": large}), 413, "api.body_too_large")


async def test_runs_that_start_runs_over_http_end(client: httpx.AsyncClient) -> None:
    """Steps say how deep they are: beyond the limit a run fails, whichever way it was started."""
    run_id = await start(client, COUNT, **{"penstock-run-depth": "5"})
    await events(client, run_id)
    run = (await client.get(f"{RUNS}/{run_id}")).json()
    assert (run["state"], run["error_code"]) == ("failed", "worker.runs_too_deep")
    wrong = await client.post(RUNS, json={"task": COUNT}, headers={"penstock-run-depth": "-1"})
    assert "penstock-run-depth" in refused(wrong, 422, "api.invalid_request")
