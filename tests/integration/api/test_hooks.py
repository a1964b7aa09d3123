"""Webhooks over a real socket: what is taken is durable and starts one run, what is not says no more than that."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from penstock_api.app import App
from penstock_common.contracts.base import decode
from penstock_common.contracts.runs import StartRun, Trigger
from penstock_common.topology import START_RUN
from tests.support.tasks import known_tasks

pytestmark = pytest.mark.integration

HOOKS = "/api/v1/hooks"


@pytest.fixture
async def process(process: App) -> AsyncIterator[App]:
    """One api process, where there are two tasks."""
    async with known_tasks(process.bus, "probe", "triage"):
        yield process


async def make(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A new webhook, with its secret."""
    response = await client.post(HOOKS, json={"task": "triage"} | fields)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def signed(secret: str, body: bytes, id_: str = "msg_1", at: datetime | None = None) -> dict[str, str]:
    """The headers of a sender that speaks Standard Webhooks."""
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(id_, at, body.decode())
    return {"webhook-id": id_, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


async def post(client: httpx.AsyncClient, made: dict[str, Any], body: bytes, **signing: Any) -> httpx.Response:
    """A delivery that is signed by the webhook's secret, without an API key."""
    headers = signed(made["secret"], body, **signing)
    return await client.post(made["path"], content=body, headers=headers | {"authorization": ""})


async def commands(process: App) -> list[StartRun]:
    """The orders in the outbox."""
    async with process.database.reading() as connection:
        bodies = await connection.scalars(
            text("select body from api.outbox where subject = :subject order by id"), {"subject": START_RUN.subject}
        )
        return [decode(StartRun, bytes(body)) for body in bodies]


async def test_a_delivery_starts_one_run_however_often_it_comes(client: httpx.AsyncClient, process: App) -> None:
    """The same id is the same run, told apart from the first time; another id with the same body is another run."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await process.bus.listen(START_RUN, heard.put)
    made = await make(client, name="issues")
    body = json.dumps({"action": "opened"}).encode()
    first = await post(client, made, body)
    assert first.status_code == 202
    assert first.json()["duplicate"] is False
    again = await asyncio.gather(*(post(client, made, body) for _ in range(5)))
    assert [r.json() for r in again] == [{"run_id": first.json()["run_id"], "duplicate": True}] * 5
    other = await post(client, made, body, id_="msg_2")
    assert other.json()["run_id"] != first.json()["run_id"]
    order = decode(StartRun, await asyncio.wait_for(heard.get(), 5))
    assert (str(order.run_id), order.trigger, order.source_id) == (first.json()["run_id"], Trigger.WEBHOOK, made["id"])
    given = json.loads(process.hooks.sealer.open(str(order.run_id), order.sealed))
    assert given["task"] is None
    assert given["input"]["body"] == {"action": "opened"}
    assert given["input"]["delivery_id"] == "msg_1"
    assert len(await commands(process)) == 2


async def test_the_same_delivery_at_once_is_one_run(client: httpx.AsyncClient, process: App) -> None:
    """Nobody was first when they all arrived."""
    made = await make(client)
    answers = await asyncio.gather(*(post(client, made, b"{}") for _ in range(8)))
    assert {r.status_code for r in answers} == {202}
    assert len({r.json()["run_id"] for r in answers}) == 1
    assert sorted(r.json()["duplicate"] for r in answers) == [False] + [True] * 7
    assert len(await commands(process)) == 1


async def test_github_is_understood_by_default(client: httpx.AsyncClient, process: App) -> None:
    """Its header, its prefix, its delivery id, its event; without the id nothing is taken."""
    made = await make(client, scheme="hmac-sha256", secret="a secret of GitHub".replace(" ", "-"))
    body = b'{"zen": "Design for failure."}'
    digest = hmac.digest(made["secret"].encode(), body, "sha256").hex()
    headers = {"x-hub-signature-256": f"sha256={digest}", "x-github-event": "ping", "penstock-run-depth": "2"}
    nameless = await client.post(made["path"], content=body, headers=headers)
    assert (nameless.status_code, nameless.json()["code"]) == (400, "api.delivery_id_missing")
    assert "x-github-delivery" in nameless.json()["detail"]
    taken = await client.post(made["path"], content=body, headers=headers | {"x-github-delivery": "72d3162e"})
    assert taken.status_code == 202
    (order,) = await commands(process)
    assert order.depth == 2
    given = json.loads(process.hooks.sealer.open(str(order.run_id), order.sealed))["input"]
    assert given["headers"] == {"x-github-event": "ping"}


async def test_a_refusal_tells_nothing(client: httpx.AsyncClient, process: App) -> None:
    """A wrong signature, an old one, none, another webhook's, and a webhook that never was: one answer to all."""
    made, other = await make(client), await make(client)
    old = datetime.now(UTC) - timedelta(minutes=6)
    answers = [
        await client.post(made["path"], content=b"{}"),
        await client.post(made["path"], content=b"{ }", headers=signed(made["secret"], b"{}")),
        await client.post(made["path"], content=b"{}", headers=signed(other["secret"], b"{}")),
        await client.post(f"/hooks/{uuid4()}", content=b"{}", headers=signed(made["secret"], b"{}")),
        await client.post("/hooks/nonsense", content=b"{}", headers=signed(made["secret"], b"{}")),
        await post(client, made, b"{}", at=old),
    ]
    told = [{key: value for key, value in r.json().items() if key != "instance"} for r in answers]
    assert [r.status_code for r in answers] == [401] * 6
    assert all(one == told[0] for one in told)
    assert await commands(process) == []


async def test_a_body_is_bounded(client: httpx.AsyncClient, process: App) -> None:
    """One megabyte is taken, a byte more is not."""
    made = await make(client)
    assert (await post(client, made, b"x" * 1_000_000)).status_code == 202
    larger = await post(client, made, b"x" * 1_000_001)
    assert (larger.status_code, larger.json()["code"]) == (413, "api.body_too_large")
    assert "1 MB" in larger.json()["detail"]


async def test_a_rotated_secret_overlaps(client: httpx.AsyncClient) -> None:
    """The one before stays good as long as was asked for; the one before that does not."""
    made = await make(client)
    rotated = (await client.post(f"{HOOKS}/{made['id']}/rotate", json={})).json()
    assert rotated["secret"] != made["secret"]
    assert (await post(client, rotated, b"{}", id_="new")).status_code == 202
    assert (await post(client, made, b"{}", id_="old")).status_code == 202
    last = (await client.post(f"{HOOKS}/{made['id']}/rotate", json={"overlap_seconds": 0})).json()
    assert (await post(client, last, b"{}", id_="newest")).status_code == 202
    for gone in (made, rotated):
        assert (await post(client, gone, b"{}", id_="gone")).status_code == 401


async def test_a_secret_is_shown_once_and_sealed(client: httpx.AsyncClient, process: App) -> None:
    """Neither the list nor the table has it."""
    made = await make(client, name="issues")
    (listed,) = (await client.get(HOOKS)).json()["hooks"]
    assert listed == {key: value for key, value in made.items() if key != "secret"}
    async with process.database.reading() as connection:
        row = (await connection.execute(text("select h::text as all_of_it, sealed_secret from api.hooks h"))).one()
    assert made["secret"][6:] not in row.all_of_it
    assert made["secret"].encode() not in bytes(row.sealed_secret)


async def test_a_removed_webhook_takes_nothing(client: httpx.AsyncClient) -> None:
    """At once; removing it again is 404."""
    made = await make(client)
    assert (await client.delete(f"{HOOKS}/{made['id']}")).status_code == 204
    assert (await post(client, made, b"{}")).status_code == 401
    gone = await client.delete(f"{HOOKS}/{made['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "api.hook_not_found")
    assert (await client.post(f"{HOOKS}/{uuid4()}/rotate", json={})).status_code == 404


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"task": ""}, "task"),
    ({"task": "x" * 101}, "task"),
    ({"scheme": "md5"}, "scheme"),
    ({"secret": "short"}, "secret"),
    ({"scheme": "hmac-sha256", "secret": "short"}, "secret"),
    ({"scheme": "hmac-sha256", "signature_header": "two words"}, "signature_header"),
    ({"scheme": "hmac-sha256", "delivery_header": ""}, "delivery_header"),
    ({"scheme": "hmac-sha256", "prefix": "a b"}, "prefix"),
    ({"colour": "red"}, "colour"),
]


async def test_webhooks_that_can_not_be(client: httpx.AsyncClient) -> None:
    """422, and a sentence that names the field."""
    for change, word in IMPOSSIBLE:
        response = await client.post(HOOKS, json={"task": "triage"} | change)
        assert response.status_code == 422, change
        assert word in response.json()["detail"]
    unknown = await client.post(HOOKS, json={"task": "triag"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "api.task_not_found")


async def test_webhooks_of_a_project_are_bounded(client: httpx.AsyncClient, process: App) -> None:
    """The hundred-and-first is refused."""
    made = await make(client)
    copy = text("""insert into api.hooks select gen_random_uuid(), tenant, key_id, name, task, signing, sealed_secret,
        null, null, created_at, null from api.hooks, generate_series(1, 99) where id = :id""")
    async with process.database.reading() as connection:
        await connection.execute(copy, {"id": UUID(made["id"])})
    refused = await client.post(HOOKS, json={"task": "triage"})
    assert (refused.status_code, refused.json()["code"]) == (409, "api.too_many_hooks")


async def test_old_deliveries_are_let_go(client: httpx.AsyncClient, process: App) -> None:
    """Those of months ago, that nobody repeats; younger ones stay known."""
    made = await make(client)
    for id_ in ("old", "young"):
        await post(client, made, b"{}", id_=id_)
    async with process.database.reading() as connection:
        await connection.execute(
            text("update api.hook_deliveries set received_at = now() - interval '91 days' where delivery_id = 'old'")
        )
    await process.hooks.forget()
    assert (await post(client, made, b"{}", id_="young")).json()["duplicate"] is True
    assert (await post(client, made, b"{}", id_="old")).json()["duplicate"] is False
