"""Schedules over HTTP, with api and scheduler as they run, on each bus."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from penstock_api.app import App
from penstock_common.contracts.base import decode
from penstock_common.contracts.runs import StartRun
from penstock_common.service import begin
from penstock_common.topology import START_RUN
from penstock_scheduler.app import App as SchedulerApp
from tests.support import scheduling_process
from tests.support.api import ADMIN, bearer
from tests.support.databases import Databases
from tests.support.tasks import known_tasks

pytestmark = pytest.mark.integration

SCHEDULES = "/api/v1/schedules"
MORNINGS: dict[str, Any] = {
    "name": "mornings",
    "task": "probe",
    "cron": "30 2 * * *",
    "zone": "Europe/Berlin",
    "input": {"url": "https://example.com/"},
}


@pytest.fixture
async def process(process: App) -> AsyncIterator[App]:
    """One api process, where there are two tasks."""
    async with known_tasks(process.bus, "probe", "triage"):
        yield process


@pytest.fixture
async def scheduler(
    process: App, platform_databases: Databases, bus_url: str, tmp_path: Path
) -> AsyncIterator[SchedulerApp]:
    """One scheduler process beside it, with the same keys."""
    url = platform_databases.services["scheduler"]
    app = SchedulerApp(scheduling_process.settings(bus_url, url, str(tmp_path / "keyring")))
    await begin(app)
    yield app
    await app.stop()


def refused(response: httpx.Response, status: int, code: str) -> str:
    """The sentence of a problem."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    sentence: str = response.json()["detail"]
    return sentence


async def made(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A new schedule."""
    return await settled(client, await client.post(SCHEDULES, json=MORNINGS | fields), 1)


async def settled(client: httpx.AsyncClient, answer: httpx.Response, version: int) -> dict[str, Any]:
    """The schedule at a version: as answered, or as shown later, where a busy machine took longer (202)."""
    assert answer.status_code in (200, 201, 202), answer.text
    schedule: dict[str, Any] = answer.json()
    async with asyncio.timeout(20):
        while schedule.get("version", 0) < version:
            await asyncio.sleep(0.1)
            later = await client.get(f"{SCHEDULES}/{schedule['id']}")
            schedule |= later.json() if later.status_code == 200 else {}
    return schedule


async def test_a_schedule_from_its_making_to_its_end(client: httpx.AsyncClient, scheduler: SchedulerApp) -> None:
    """Made, listed, replaced, paused, resumed, removed: each answer shows what holds from then on."""
    schedule = await made(client)
    path = f"{SCHEDULES}/{schedule['id']}"
    assert (schedule["cron"], schedule["zone"], schedule["version"]) == ("30 2 * * *", "Europe/Berlin", 1)
    assert schedule["input"] == MORNINGS["input"]
    assert datetime.fromisoformat(schedule["next_at"]) > datetime.now(UTC)
    assert (await client.get(path)).json() == schedule
    listed = (await client.get(SCHEDULES)).json()
    assert listed == {"schedules": [schedule | {"input": None}], "total": 1}
    wanted = MORNINGS | {"name": "nights", "cron": "0 23 * * *"}
    assert (await settled(client, await client.put(path, json=wanted), 2))["name"] == "nights"
    paused = await settled(client, await client.post(f"{path}/pause"), 3)
    assert (paused["paused"], paused["next_at"], paused["input"]) == (True, None, MORNINGS["input"])
    assert (await client.post(f"{path}/pause")).json() == paused
    resumed = await settled(client, await client.post(f"{path}/resume"), 4)
    assert (resumed["paused"], resumed["version"], resumed["next_at"] is None) == (False, 4, False)
    assert (await client.delete(path)).status_code in (202, 204)
    async with asyncio.timeout(20):
        while (await client.get(path)).status_code != 404:
            await asyncio.sleep(0.1)
    assert (await client.get(SCHEDULES)).json() == {"schedules": [], "total": 0}


async def test_a_moment_starts_a_run(client: httpx.AsyncClient, process: App, scheduler: SchedulerApp) -> None:
    """From the request to the order, with the input it was given; what is over can still be renamed."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await process.bus.listen(START_RUN, heard.put)
    at = datetime.now(UTC) + timedelta(seconds=2)
    once = {"name": "soon", "task": "probe", "at": at.isoformat(), "input": [1, 2]}
    schedule = await settled(client, await client.post(SCHEDULES, json=once), 1)
    order = decode(StartRun, await asyncio.wait_for(heard.get(), 15))
    assert (order.source_id, order.due_at, order.task) == (schedule["id"], at, "probe")
    shown = (await client.get(f"{SCHEDULES}/{schedule['id']}")).json()
    assert (shown["last_run_id"], shown["next_at"]) == (str(order.run_id), None)
    assert shown["at"] == schedule["at"]
    renamed = await client.put(f"{SCHEDULES}/{schedule['id']}", json=once | {"name": "was soon"})
    assert (await settled(client, renamed, 2))["name"] == "was soon"


async def test_a_preview_marks_what_the_clock_does(client: httpx.AsyncClient, scheduler: SchedulerApp) -> None:
    """Of a timing that is kept nowhere, and of a schedule."""
    wanted = {"cron": "30 2 * * *", "zone": "Europe/Berlin", "after": "2026-03-28T12:00:00Z", "count": 2}
    moments = (await client.post(f"{SCHEDULES}/preview", json=wanted)).json()["moments"]
    assert [(m["local"], m["note"]) for m in moments] == [
        ("2026-03-29T03:00:00+02:00", "skipped"),
        ("2026-03-30T02:30:00+02:00", ""),
    ]
    schedule = await made(client)
    shown = (await client.get(f"{SCHEDULES}/{schedule['id']}/preview", params={"count": 3})).json()["moments"]
    assert shown[0]["due_at"] == schedule["next_at"]
    assert len(shown) == 3


IMPOSSIBLE: list[tuple[dict[str, Any], str, str]] = [
    ({"cron": "0 0 31 2 *"}, "api.timing_refused", "'31' is a day that no month"),
    ({"cron": "* * * * * *"}, "api.timing_refused", "none for seconds"),
    ({"cron": "@reboot"}, "api.timing_refused", "@reboot"),
    ({"zone": "Europe/Berln"}, "api.timing_refused", "did you mean Europe/Berlin?"),
    ({"cron": None, "every_seconds": 4}, "api.timing_refused", "`every_seconds`"),
    ({"cron": None, "every_seconds": 2**70}, "api.invalid_request", "`every_seconds`"),
    ({"cron": None, "at": "2020-01-01T00:00:00Z"}, "api.timing_refused", "`at`: 2020-01-01"),
    ({"cron": None, "at": "2020-01-01T00:00:00"}, "api.invalid_request", "`at`"),
    ({"cron": None}, "api.invalid_request", "one of `cron`"),
    ({"every_seconds": 60}, "api.invalid_request", "both of"),
    ({"cron": None, "at": "2030-01-01T00:00:00Z", "start_at": "2030-01-01T00:00:00Z"}, "api.invalid_request", "`at`"),
    ({"end_at": "2020-01-01T00:00:00Z"}, "api.timing_refused", "`end_at`"),
    ({"name": ""}, "api.invalid_request", "name"),
    ({"name": "x" * 101}, "api.invalid_request", "name"),
    ({"task": ""}, "api.invalid_request", "task"),
    ({"misfire": "sometimes"}, "api.invalid_request", "misfire"),
    ({"colour": "red"}, "api.invalid_request", "colour"),
]


async def test_schedules_that_can_not_be(client: httpx.AsyncClient, scheduler: SchedulerApp) -> None:
    """422 with a sentence, when made, when replaced, and when previewed."""
    path = f"{SCHEDULES}/{(await made(client))['id']}"
    for change, code, words in IMPOSSIBLE:
        wanted = {name: value for name, value in (MORNINGS | change).items() if value is not None}
        assert words in refused(await client.post(SCHEDULES, json=wanted), 422, code), change
        assert words in refused(await client.put(path, json=wanted), 422, code), change
    large = await client.post(SCHEDULES, json=MORNINGS | {"input": "x" * 70_000})
    refused(large, 413, "api.body_too_large")
    for name in ("prob", "No Such Name"):
        unknown = await client.post(SCHEDULES, json=MORNINGS | {"task": name})
        assert repr(name) in refused(unknown, 404, "api.task_not_found")
    assert (await client.get(SCHEDULES)).json()["total"] == 1


async def test_another_project_s_schedule_does_not_exist(
    client: httpx.AsyncClient, process: App, scheduler: SchedulerApp
) -> None:
    """Nor does one that never was; a key without the scope may do nothing."""
    schedule, stranger = await made(client), uuid4()
    async with process.database.transaction() as tx:
        await tx.connection.exec_driver_sql("insert into api.projects (id, name) values ($1, 'other')", (stranger,))
        await tx.connection.exec_driver_sql("update api.keys set project_id = $1", (stranger,))
    await process.keys.refresh()
    for id_ in (schedule["id"], uuid4()):
        path = f"{SCHEDULES}/{id_}"
        for response in (
            await client.get(path),
            await client.put(path, json=MORNINGS),
            await client.post(f"{path}/pause"),
            await client.get(f"{path}/preview"),
            await client.delete(path),
        ):
            refused(response, 404, "api.schedule_not_found")
    assert (await client.get(SCHEDULES)).json()["total"] == 0
    reader = await client.post("/api/v1/keys", json={"scopes": ["usage:read"]}, headers=bearer(ADMIN))
    key = bearer(reader.json()["key"])
    refused(await client.get(SCHEDULES, headers=key), 403, "api.scope_missing")


async def test_nobody_answers_for_the_scheduler(client: httpx.AsyncClient) -> None:
    """504 that names it, before anything is ordered."""
    response = await client.post(SCHEDULES, json=MORNINGS)
    assert "scheduler" in refused(response, 504, "common.no_answer")
    assert int(response.headers["retry-after"]) > 0


async def test_an_order_that_takes_longer_is_kept(client: httpx.AsyncClient, scheduler: SchedulerApp) -> None:
    """202 with the id; it is carried out once the scheduler receives again."""
    await scheduler.runtime.stop(1.0)
    ordered = await client.post(SCHEDULES, json=MORNINGS)
    assert ordered.status_code == 202
    path = f"{SCHEDULES}/{ordered.json()['id']}"
    refused(await client.get(path), 404, "api.schedule_not_found")
    again = type(scheduler)(scheduler.settings)
    await again.connect()
    await again.start()
    try:
        async with asyncio.timeout(15):
            while (await client.get(path)).status_code != 200:
                await asyncio.sleep(0.1)
    finally:
        await again.stop()
