"""What starts runs, with api, scheduler and worker as they run, on each bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock_scheduler.app import App as SchedulerApp
from tests.support import scheduling_process
from tests.support.api import USER, bearer
from tests.support.chat import api_process
from tests.support.databases import Databases
from tests.support.working import worker_process

pytestmark = pytest.mark.integration

COUNT = {"steps": [{"kind": "state", "name": "count", "key": "k", "add": {"n": 1}}], "output": "{{ input }}"}


@pytest.fixture
async def client(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key, of api beside a scheduler and a worker."""
    keyring, services = tmp_path / "keyring", platform_databases.services
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(api_process(platform_databases, bus_url, keyring))
        await stack.enter_async_context(worker_process(services["worker"], bus_url, keyring))
        scheduler = SchedulerApp(scheduling_process.settings(bus_url, services["scheduler"], str(keyring)))
        await scheduler.connect()
        await scheduler.start()
        stack.push_async_callback(scheduler.stop)
        yield await stack.enter_async_context(
            httpx.AsyncClient(base_url=api.url, headers=bearer(USER), timeout=20, trust_env=False)
        )


async def ended(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """All runs, the oldest first, once so many have ended."""
    async with asyncio.timeout(30):
        while True:
            runs: list[dict[str, Any]] = (await client.get("/api/v1/runs")).json()["runs"]
            if len(runs) >= count and all(run["state"] in ("succeeded", "failed") for run in runs):
                return runs[::-1]
            await asyncio.sleep(0.1)


async def test_a_moment_is_a_run_with_its_input(client: httpx.AsyncClient) -> None:
    """From a schedule by HTTP to the end of its run, which names the schedule and the moment."""
    await client.put("/api/v1/tasks/count", json=COUNT)
    at = datetime.now(UTC) + timedelta(seconds=1)
    wanted = {"name": "soon", "task": "count", "at": at.isoformat(), "input": {"a": 1}}
    schedule = (await client.post("/api/v1/schedules", json=wanted)).json()
    (run,) = await ended(client, 1)
    shown = (await client.get(f"/api/v1/runs/{run['id']}")).json()
    assert (shown["state"], shown["trigger"], shown["source_id"]) == ("succeeded", "schedule", schedule["id"])
    assert shown["input"] == {"a": 1}
    assert datetime.fromisoformat(shown["due_at"]) == at


async def test_a_task_that_posts_to_its_own_webhook_ends(client: httpx.AsyncClient) -> None:
    """Each run says how deep it is; the one that is too deep fails with the reason."""
    await client.put("/api/v1/tasks/loop", json=COUNT)
    hook = (await client.post("/api/v1/hooks", json={"task": "loop"})).json()
    url = f"{str(client.base_url).rstrip('/')}{hook['path']}"
    post = {"kind": "webhook", "name": "again", "url": url, "secret": hook["secret"], "type": "again"}
    assert (await client.put("/api/v1/tasks/loop", json={"steps": [post]})).status_code == 200
    await client.post("/api/v1/runs", json={"task": "loop"})
    runs = await ended(client, 6)
    assert [run["trigger"] for run in runs] == ["api", *["webhook"] * 5]
    assert [run["state"] for run in runs] == [*["succeeded"] * 5, "failed"]
    last = (await client.get(f"/api/v1/runs/{runs[-1]['id']}")).json()
    assert "depth" in last["error"]
