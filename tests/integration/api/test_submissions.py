"""Submissions over a real socket: what they may hold, by which names they are one, and who hears of their ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock_common.contracts.base import decode
from penstock_common.contracts.runs import StartRun, Trigger
from penstock_common.sealing import LocalKeyring, Sealer
from tests.support.api import ADMIN, bearer
from tests.support.callbacks import SECRET
from tests.support.databases import Databases
from tests.support.queueing import Platform, platform_on, stranger
from tests.support.submitting import PATH, a_request, ended, rows, submitted
from tests.support.tasks import known_tasks

pytestmark = pytest.mark.integration

NAMED = {"idempotency-key": "river-1"}
INNER = {"model": "sim/fast", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def platform(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """On each bus."""
    async with platform_on(platform_databases, bus_url, tmp_path) as platform:
        yield platform


def called(url: str = "https://example.com/", secret: str = SECRET) -> dict[str, Any]:
    """A body that names who is to be posted to."""
    return {"request": INNER, "webhook": {"url": url, "secret": secret}}


BAD: dict[str, tuple[Any, int, str]] = {
    "no object": ([], 422, "`request`"),
    "nothing": ({}, 422, "`request`"),
    "unknown member": ({"request": INNER, "river": 1}, 422, "`river`"),
    "unknown kind": ({"request": INNER, "kind": "audio"}, 422, "`kind`"),
    "unknown lane": ({"request": INNER, "lane": "fast"}, 422, "`lane`"),
    "priority too high": ({"request": INNER, "priority": 10}, 422, "`priority`"),
    "priority below": ({"request": INNER, "priority": -1}, 422, "`priority`"),
    "priority of another lane": ({"request": INNER, "lane": "interactive", "priority": 1}, 422, "`priority`"),
    "no time": ({"request": INNER, "deadline_seconds": 0}, 422, "`deadline_seconds`"),
    "too much time": ({"request": INNER, "deadline_seconds": 86_401}, 422, "`deadline_seconds`"),
    "more than an answer may take": (
        {"request": INNER, "lane": "interactive", "deadline_seconds": 3600},
        422,
        "`deadline_seconds`",
    ),
    "no id": ({"request": INNER, "webhook": "river"}, 422, "`webhook`"),
    "a webhook of nobody": ({"request": INNER, "webhook": str(UUID(int=7))}, 404, "webhook"),
    "no http": (called("ftp://example.com"), 422, "`webhook.url`"),
    "no host": (called("http:///path"), 422, "`webhook.url`"),
    "a space": (called("http://example.com/a b"), 422, "`webhook.url`"),
    "a user": (called("https://user:password@example.com/"), 422, "`webhook.url`"),
    "a long one": (called("https://example.com/" + "a" * 2_000), 422, "`webhook.url`"),
    "an address inside": (called("http://127.0.0.1:8080/"), 422, "`webhook.url`"),
    "an address inside, of IPv6": (called("http://[::ffff:10.0.0.1]/"), 422, "`webhook.url`"),
    "no secret": ({"request": INNER, "webhook": {"url": "https://example.com"}}, 422, "`webhook.secret`"),
    "a short secret": (called(secret="whsec_" + "QUJD" * 7), 422, "`webhook.secret`"),
    "a long secret": (called(secret="whsec_" + "QUJD" * 23), 422, "`webhook.secret`"),
    "a secret of another kind": (called(secret="QUJD" * 8), 422, "`webhook.secret`"),
    "a secret that is none": (called(secret="whsec_" + "?" * 40), 422, "`webhook.secret`"),
    "an unknown member of the webhook": (
        {"request": INNER, "webhook": {"url": "https://a.org", "secret": SECRET, "river": 1}},
        422,
        "`webhook`",
    ),
    "no messages": ({"request": {"model": "sim/fast"}}, 422, "`messages`"),
    "not for embeddings": ({"request": INNER, "kind": "embeddings"}, 422, "`input`"),
    "no such model": ({"request": INNER | {"model": "river"}}, 404, "`river`"),
}


async def test_bad_bodies_are_told_what_is_wrong(platform: Platform) -> None:
    """The status and the member; nothing is accepted."""
    for name, (body, status, where) in BAD.items():
        answer = await platform.client.post(PATH, json=body)
        assert answer.status_code == status, (name, answer.text)
        assert where in answer.json()["detail"], (name, answer.text)
    raw = {b"{": 422, b"\xff": 422, b'{"request":1,"request":2}': 422, b" " * 6_000_001: 413}
    for content, status in raw.items():
        assert (await platform.client.post(PATH, content=content)).status_code == status, content[:40]
    assert (await platform.client.post(PATH, json=a_request(), headers=bearer("psk-none"))).status_code == 401
    assert await rows(platform.databases, "select request_id from api.requests") == []


async def test_the_same_name_is_the_same_request(platform: Platform) -> None:
    """At once or later: one id, one end; another body under it is refused, and fails nobody who came with it."""
    body = a_request("once")
    answers = await asyncio.gather(
        *(platform.client.post(PATH, json=body, headers=NAMED) for _ in range(8)),
        platform.client.post(PATH, json=a_request("other"), headers={"idempotency-key": "river-2"}),
    )
    ids = {answer.json()["id"] for answer in answers[:8]}
    assert ({answer.status_code for answer in answers}, len(ids)) == ({202}, 1)
    assert sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers) == 7
    assert (await platform.client.post(PATH, json=a_request("two"), headers=NAMED)).status_code == 409
    await ended(platform.client, ids.pop())
    again = await platform.client.post(PATH, json=body, headers=NAMED)
    assert (again.json()["id"], again.json()["position"]) == (answers[0].json()["id"], None)
    assert (await rows(platform.databases, "select count(*) from api.requests"))[0] == 2


async def test_another_project_finds_nothing(platform: Platform) -> None:
    """Its state, its result and its stop are 404 to others, whether it waits or has ended."""
    id_ = await submitted(platform.client, a_request("mine"))
    await stranger(platform)
    for path in ("", "/result", "/stream"):
        answer = await platform.client.get(f"{PATH}/{id_}{path}", headers=bearer(ADMIN))
        assert (answer.status_code, answer.json()["code"]) == (404, "api.inference_not_found")
    assert (await platform.client.delete(f"{PATH}/{id_}", headers=bearer(ADMIN))).status_code == 404
    assert (await ended(platform.client, id_))["state"] == "succeeded"


async def test_a_webhook_hears_of_the_end_once(platform: Platform) -> None:
    """One run of its task, with ids and counts; looked for again, no other one."""
    async with known_tasks(platform.api.app.bus, "triage"):
        hook = (await platform.client.post("/api/v1/hooks", json={"task": "triage"})).json()
    id_ = await submitted(platform.client, a_request("told", webhook=hook["id"]), **{"penstock-run-depth": "2"})
    await ended(platform.client, id_)
    async with asyncio.timeout(10):
        while not (orders := await start_runs(platform)):
            await asyncio.sleep(0.1)
    (order,) = orders
    assert (order.trigger, order.source_id, order.task, order.depth) == (Trigger.WEBHOOK, hook["id"], "triage", 2)
    sealer = Sealer(LocalKeyring(platform.folder / "keyring"))
    given = sealer.open(str(order.run_id), order.sealed).decode()
    assert '"type":"inference.completed"' in given
    assert f'"id":"{id_}"' in given
    assert '"state":"succeeded"' in given
    assert "told" not in given
    left = "select count(*) from api.completion_hooks"
    async with asyncio.timeout(5):
        while (await rows(platform.databases, left))[0]:
            await asyncio.sleep(0.05)


async def test_an_end_told_by_a_process_that_died_is_not_told_again(platform: Platform) -> None:
    """Killed between the order and its note, the next look finds the run ordered."""
    async with known_tasks(platform.api.app.bus, "triage"):
        hook = (await platform.client.post("/api/v1/hooks", json={"task": "triage"})).json()
    id_ = await submitted(platform.client, a_request("told", webhook=hook["id"]))
    await ended(platform.client, id_)
    completions = platform.api.app.completions
    async with asyncio.timeout(10):
        while not await start_runs(platform):
            await asyncio.sleep(0.1)
    remember = """
        insert into api.completion_hooks (request_id, tenant, hook_id, depth)
        select $1, tenant, id, 0 from api.hooks on conflict do nothing returning 1"""
    await rows(platform.databases, remember, UUID(id_))
    await completions.look()
    assert len(await start_runs(platform)) == 1
    assert (await rows(platform.databases, "select count(*) from api.completion_hooks"))[0] == 0


async def start_runs(platform: Platform) -> list[StartRun]:
    """The runs that api ordered."""
    statement = "select body from api.outbox where subject = 'cmd.worker.run.start.v1'"
    return [decode(StartRun, bytes(body)) for body in await rows(platform.databases, statement)]
