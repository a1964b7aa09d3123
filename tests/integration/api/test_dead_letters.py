"""Dead letters from burial to their second life, on each bus."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from penstock_api.app import App
from penstock_common.contracts.base import encode
from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.ports import Incoming
from tests.support.api import ADMIN, USER, bearer
from tests.support.dead_letters import CONSUMER, LETTERS, MODEL, broken, buried, eventually, message, until

pytestmark = pytest.mark.integration


ON_NATS = pytest.mark.parametrize("bus_url", ["nats_url"], indirect=True)
"""For what has nothing to do with the bus."""


@pytest.fixture
def key() -> str:
    """The operator's."""
    return ADMIN


async def audited(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """What was done to letters, the oldest first."""
    answer = await client.get("/api/v1/admin/audit", params={"act": "dead-letters"})
    return list(reversed(answer.json()["entries"]))


async def gauge(client: httpx.AsyncClient) -> float:
    """What the metric says of the consumer."""
    lines = (await client.get("/metrics")).text.splitlines()
    name = f'penstock_dead_letters_unacknowledged{{consumer="{CONSUMER}"}}'
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), -1.0)


async def catalogue_of(process: App) -> list[int]:
    """The version that api keeps."""
    async with process.database.reading() as connection:
        return list(await connection.scalars(text("select version from api.catalogue")))


async def test_a_poison_message_is_kept_shown_edited_and_handled(process: App, client: httpx.AsyncClient) -> None:
    """With reason, attempt and process; the edit lets it be handled once, the original stays, each act is audited."""
    (letter,) = await buried(client, process.bus, broken())
    assert (letter["consumer"], letter["topic"]) == (CONSUMER, "inference.catalogue.changed.v1")
    assert (letter["state"], letter["attempts"], letter["code"]) == ("waiting", 1, "common.contract_violated")
    await eventually(lambda: _is(gauge(client), 1.0))
    path = f"{LETTERS}/{letter['id']}"
    shown = (await client.get(path)).json()
    assert shown["payload"] == {"version": "seven", "models": []}
    assert "version" in shown["problem"]
    assert (shown["would"], shown["original"]) == ("apply", None)
    (attempt,) = shown["story"]
    assert attempt["number"] == 1
    assert attempt["process"].rpartition(":")[2].isdigit()
    edited = await client.put(f"{path}/payload", json={"patch": {"version": 7}})
    assert edited.status_code == 200, edited.text
    assert edited.json()["payload"] == {"version": 7, "models": []}
    assert edited.json()["original"] == {"version": "seven", "models": []}
    retried = await client.post(f"{path}/retry")
    assert retried.json()["state"] in ("due", "retried")
    await eventually(lambda: _is(catalogue_of(process), [7]))
    assert await until(client, lambda letters: not letters) == []
    done = (await client.get(path)).json()
    assert (done["state"], done["retries"], done["would"]) == ("retried", 1, "skip")
    assert [e["act"] for e in await audited(client)] == ["dead-letters.edit", "dead-letters.retry"]
    assert (await client.post(f"{path}/retry")).json()["code"] == "api.dead_letter_settled"
    await eventually(lambda: _is(gauge(client), 0.0))


async def _is(asked: Any, wanted: Any) -> bool:
    return bool(await asked == wanted)


def attempted(times: int) -> Callable[[list[dict[str, Any]]], bool]:
    """Whether the only letter has so many attempts behind it."""
    return lambda letters: [letter["attempts"] for letter in letters] == [times]


async def test_what_fails_again_is_the_same_letter_with_a_longer_story(process: App, client: httpx.AsyncClient) -> None:
    """It waits once more, unacknowledged, and can be tried as often as somebody wants."""
    (letter,) = await buried(client, process.bus, broken())
    path = f"{LETTERS}/{letter['id']}"
    await client.post(f"{path}/acknowledge")
    await eventually(lambda: _is(gauge(client), 0.0))
    for tries in (1, 2):
        await client.post(f"{path}/retry")
        (again,) = await until(client, attempted(tries + 1))
        assert (again["id"], again["state"], again["retries"]) == (letter["id"], "waiting", tries)
    shown = (await client.get(path)).json()
    assert len(shown["story"]) == 3
    assert shown["first_failed_at"] == letter["first_failed_at"]
    assert shown["last_failed_at"] > letter["last_failed_at"]


@ON_NATS
async def test_a_message_retried_twice_takes_effect_once(process: App, client: httpx.AsyncClient) -> None:
    """The second retry, of a copy that lay there too, is skipped by the inbox; `show` says so before."""
    good = message(9)
    await process.bus.publish(good)
    await eventually(lambda: _is(catalogue_of(process), [9]))
    async with process.database.engine.begin() as connection:
        await connection.execute(text("delete from api.inbox"))
        await connection.execute(text("update api.catalogue set version = 1"))
    headers = {**good.headers, "dlq-consumer": CONSUMER, "dlq-subject": good.subject}
    await keep(process, headers, good.body)
    await keep(process, headers, good.body + b" ")
    first, second = await until(client, lambda letters: len(letters) == 2)
    await client.post(f"{LETTERS}/{first['id']}/retry")
    await eventually(lambda: _is(catalogue_of(process), [9]))
    async with process.database.engine.begin() as connection:
        await connection.execute(text("update api.catalogue set version = 1"))
    assert (await client.get(f"{LETTERS}/{second['id']}")).json()["would"] == "skip"
    await client.post(f"{LETTERS}/{second['id']}/retry")
    await process.bus.publish(message(2))
    await eventually(lambda: _is(catalogue_of(process), [2]))
    async with process.database.reading() as connection:
        handled = await connection.scalar(text("select count(*) from api.inbox where consumer = :c"), {"c": CONSUMER})
    assert handled == 2


async def keep(process: App, headers: dict[str, str], body: bytes) -> None:
    """Store a letter as the collector does."""
    await process.collector.collect(Incoming("", headers.get(MESSAGE_ID, ""), headers, body, None))


async def test_a_bulk_act_does_what_its_dry_run_counted(process: App, client: httpx.AsyncClient) -> None:
    """By consumer, exactly, and no letter that came later; at the rate that was asked for."""
    letters = await buried(client, process.bus, *(broken(b'{"n": %d}' % n) for n in range(6)))
    dry = (await client.post(f"{LETTERS}/retry", json={"consumer": "api-*", "dry_run": True})).json()
    assert (dry["count"], dry["by_consumer"], dry["act_id"]) == (6, {CONSUMER: 6}, None)
    assert dry["up_to"] == letters[-1]["id"]
    assert await audited(client) == []
    await buried(client, process.bus, broken(b'{"n": "later"}'))
    order = {"consumer": "api-*", "up_to": dry["up_to"], "rate": 4}
    began = asyncio.get_running_loop().time()
    done = (await client.post(f"{LETTERS}/retry", json=order)).json()
    assert (done["count"], done["by_consumer"]) == (dry["count"], dry["by_consumer"])
    again = await until(client, lambda found: sum(letter["retries"] for letter in found) == 6, state="waiting")
    assert asyncio.get_running_loop().time() - began >= 5 / 4
    assert [letter["retries"] for letter in again] == [1] * 6 + [0]
    (entry,) = await audited(client)
    assert (entry["act_id"], entry["details"]["count"]) == (done["act_id"], "6")
    dropped = (await client.post(f"{LETTERS}/drop", json={"ids": [again[0]["id"], str(uuid4())]})).json()
    assert dropped["count"] == 1
    rest = (await client.post(f"{LETTERS}/acknowledge", json={"everything": True})).json()
    assert rest["count"] == 6
    summary = (await client.get(f"{LETTERS}/summary")).json()
    assert summary == {"unacknowledged": 0, "consumers": {CONSUMER: {"acknowledged": 6, "dropped": 1}}}


@ON_NATS
async def test_letters_are_found_by_what_is_known_of_them(process: App, client: httpx.AsyncClient) -> None:
    """Consumer, topic, tenant, code, age and state, and by pages; sealed text is never among it."""
    tenant = uuid4()
    first, second = message(3), message(4)
    told = {"dlq-consumer": "billing-on-generation-completed", "dlq-subject": "inference.generation.completed.v1"}
    await keep(process, {**first.headers, **told, "penstock-tenant": str(tenant)}, first.body)
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    await keep(process, {**second.headers, "dlq-consumer": CONSUMER, "dlq-last": old, "dlq-attempts": "x"}, second.body)
    one, two = (await client.get(LETTERS)).json()["dead_letters"]
    day_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for query, found in (
        ({"consumer": CONSUMER}, [two]),
        ({"consumer": "billing-*"}, [one]),
        ({"topic": "inference.generation.*"}, [one]),
        ({"tenant": str(tenant)}, [one]),
        ({"code": "delivery.no_answer"}, [one, two]),
        ({"code": "KeyError"}, []),
        ({"failed_before": day_ago}, [two]),
        ({"failed_since": day_ago}, [one]),
        ({"state": "dropped"}, []),
        ({"limit": "1"}, [one]),
        ({"after": one["id"]}, [two]),
    ):
        assert (await client.get(LETTERS, params=query)).json()["dead_letters"] == found, query


@ON_NATS
async def test_letters_are_exported_as_they_were(process: App, client: httpx.AsyncClient) -> None:
    """Headers and body to the byte, edited ones with both; who took them away is written down."""
    out = broken(b"\xff\xfe not a message")
    (letter,) = await buried(client, process.bus, out)
    shown = (await client.get(f"{LETTERS}/{letter['id']}")).json()
    assert base64.b64decode(shown["payload"]["base64"]) == out.body
    whole = CatalogueChanged(version=8, models=[MODEL])
    refused = await client.put(f"{LETTERS}/{letter['id']}/payload", json={"patch": {"version": 8}})
    assert refused.json()["code"] == "api.dead_letter_edit_refused"
    payload = {"version": 8, "models": []}
    assert (await client.put(f"{LETTERS}/{letter['id']}/payload", json={"payload": payload})).status_code == 200
    (exported,) = (await client.get(f"{LETTERS}/export")).json()["dead_letters"]
    assert base64.b64decode(exported["body_base64"]) == out.body
    edited = encode(CatalogueChanged(version=8, models=[]))
    assert base64.b64decode(exported["edited_base64"]) == edited != encode(whole)
    assert {name: exported["headers"][name] for name in out.headers if name != "traceparent"} == dict(out.headers)
    assert [e["act"] for e in await audited(client)] == ["dead-letters.edit", "dead-letters.export"]


@ON_NATS
async def test_bad_orders_are_refused_with_a_sentence(process: App, client: httpx.AsyncClient) -> None:
    """And nothing is done, nor written into the audit log."""
    (letter,) = await buried(client, process.bus, broken())
    path = f"{LETTERS}/{letter['id']}"
    for method, url, body, status, words in (
        ("POST", f"{LETTERS}/retry", {}, 422, "everything"),
        ("POST", f"{LETTERS}/retry", {"consumer": "x", "rate": 0}, 422, "rate"),
        ("POST", f"{LETTERS}/drop", {"colour": "red"}, 422, "colour"),
        ("POST", f"{LETTERS}/drop", {"states": ["lost"]}, 422, "states"),
        ("PUT", f"{path}/payload", {}, 422, "patch"),
        ("PUT", f"{path}/payload", {"patch": {"colour": 1}}, 422, "colour"),
        ("PUT", f"{path}/payload", {"patch": {"version": "eight"}}, 422, "version"),
        ("POST", f"{LETTERS}/{uuid4()}/retry", None, 404, "no such dead letter"),
        ("GET", f"{LETTERS}?failed_since=yesterday", None, 422, "failed_since"),
    ):
        answer = await client.request(method, url, json=body)
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    for route in (LETTERS, path, f"{LETTERS}/export"):
        assert (await client.get(route, headers=bearer(USER))).status_code == 403
    assert await audited(client) == []
