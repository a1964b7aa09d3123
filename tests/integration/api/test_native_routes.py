"""The native routes over a real socket, on a real PostgreSQL and a real bus."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from penstock_api.adapters.key_store import LocalKey
from penstock_api.adapters.local_keys import ADMIN_KEY
from penstock_api.app import App
from penstock_api.domain.keys import digest_of, secret_of
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.billing import ModelUsage, ReadUsage, UsageReport
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price, RegisterModel
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import CATALOGUE_CHANGED, READ_USAGE, REGISTER_MODEL
from tests.support.api import ADMIN, USER, api_process, bearer, client_of, prepare

KEYS, MODELS, USAGE, ADMIN_MODELS = "/api/v1/keys", "/v1/models", "/api/v1/usage", "/api/v1/admin/models"
PRICE = Price(version=1, currency="USD", input_nano=100_000, output_nano=200_000, cached_input_nano=50_000)
CREATED = 1_700_000_000
SIM = CatalogueModel(name="sim/fast", engine="sim", provider="sim", price=PRICE, aliases=["quick"], created=CREATED)
TINY: dict[str, Any] = {
    "name": "local/tiny",
    "engine": "openai-compatible",
    "url": "http://127.0.0.1:9/v1",
    "input_nano": 100,
}


@pytest.fixture
async def process(postgres_database: str, nats_url: str) -> AsyncIterator[App]:
    """One api process with its two local keys."""
    await prepare(postgres_database, nats_url)
    async with api_process(postgres_database, nats_url) as running:
        yield running


@pytest.fixture
async def client(process: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with client_of(process) as connected:
        yield connected


async def make(client: httpx.AsyncClient, *, by: str = ADMIN, **fields: Any) -> dict[str, Any]:
    """A new key."""
    response = await client.post(KEYS, json=fields, headers=bearer(by))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of a response, which is complete and names its request."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "code", "instance"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["instance"] == response.headers["x-request-id"]
    assert UUID(problem["instance"]).version == 7
    return problem


async def test_a_key_lives_from_creation_to_revocation(client: httpx.AsyncClient) -> None:
    """A key is shown once with its secret, works, is listed without it, and is refused once revoked."""
    soon = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    made = await make(client, name="web shop", scopes=["chat"], tier="enterprise", expires_at=soon)
    assert made["key"].startswith(made["prefix"])
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(soon)
    assert (await client.get(MODELS, headers=bearer(made["key"]))).status_code == 200
    listed = (await client.get(KEYS, headers=bearer(ADMIN))).json()["keys"]
    shown = next(key for key in listed if key["id"] == made["id"])
    assert "key" not in shown
    assert shown["tier"] == made["tier"] == "enterprise"
    gone = await client.delete(f"{KEYS}/{made['id']}", headers=bearer(ADMIN))
    assert gone.status_code == 200
    again = await client.delete(f"{KEYS}/{made['id']}", headers=bearer(ADMIN))
    assert again.json()["revoked_at"] == gone.json()["revoked_at"] is not None
    refused(await client.get(USAGE, headers=bearer(made["key"])), 401, "api.key_revoked")


async def test_use_of_a_key_is_known_within_seconds(client: httpx.AsyncClient, process: App) -> None:
    """`last_used_at` is written off the path."""
    made = await make(client, scopes=["chat"])
    assert made["last_used_at"] is None
    await client.get(MODELS, headers=bearer(made["key"]))
    await process.keys.flush()
    keys = (await client.get(KEYS, headers=bearer(ADMIN))).json()["keys"]
    used = next(key["last_used_at"] for key in keys if key["id"] == made["id"])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(used)) < timedelta(seconds=10)


BAD_HEADERS: list[tuple[dict[str, str], str]] = [
    ({}, "api.key_missing"),
    ({"authorization": "Basic dXNlcjpwdw=="}, "api.key_missing"),
    ({"authorization": "Bearer"}, "api.key_missing"),
    (bearer("sk-of-another-provider"), "api.key_malformed"),
    (bearer(secret_of(b"x" * 32)), "api.key_unknown"),
]


async def test_who_has_no_key_is_told_why(client: httpx.AsyncClient) -> None:
    """401 on every route, before anything of the body is looked at."""
    for header, code in BAD_HEADERS:
        refused(await client.post(KEYS, content=b"{", headers=header), 401, code)
        refused(await client.get(USAGE, headers=header), 401, code)
        refused(await client.get(ADMIN_MODELS, headers=header), 401, code)
        on_openai_route = await client.get(MODELS, headers=header)
        assert on_openai_route.status_code == 401
        assert set(on_openai_route.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_key_gives_no_more_than_it_holds(client: httpx.AsyncClient) -> None:
    """A key that may make keys makes none with other scopes, and revokes none that holds more than itself."""
    maker = (await make(client, scopes=["chat", "keys:write"]))["key"]
    for scopes in (["admin"], ["*"], ["chat", "usage:read"]):
        response = await client.post(KEYS, json={"scopes": scopes}, headers=bearer(maker))
        refused(response, 403, "api.scope_exceeded")
    lifted = await client.post(KEYS, json={"scopes": ["chat"], "tier": "enterprise"}, headers=bearer(maker))
    assert "tier standard" in refused(lifted, 403, "api.scope_exceeded")["detail"]
    refused(await client.delete(f"{KEYS}/{ADMIN_KEY}", headers=bearer(maker)), 403, "api.scope_exceeded")
    made = await make(client, by=maker, scopes=["chat"])
    for response in (
        await client.get(KEYS, headers=bearer(made["key"])),
        await client.post(KEYS, json={}, headers=bearer(made["key"])),
        await client.get(ADMIN_MODELS, headers=bearer(maker)),
        await client.post(ADMIN_MODELS, json=TINY, headers=bearer(maker)),
        await client.delete(f"{ADMIN_MODELS}/sim/fast", headers=bearer(USER)),
        await client.get(USAGE, headers=bearer(made["key"])),
    ):
        refused(response, 403, "api.scope_missing")


async def test_keys_of_another_project_do_not_exist(client: httpx.AsyncClient, process: App) -> None:
    """Another project's key can't be seen or revoked; the answer is that of a key that never was."""
    stranger, theirs = uuid4(), secret_of(b"t" * 32)
    async with process.database.transaction() as tx:
        await tx.connection.exec_driver_sql("insert into api.projects (id, name) values ($1, 'other')", (stranger,))
    await process.key_table.ensure([LocalKey(uuid4(), "theirs", ("*",), digest_of(theirs))])
    async with process.database.transaction() as tx:
        await tx.connection.exec_driver_sql("update api.keys set project_id = $1 where name = 'theirs'", (stranger,))
    await process.keys.refresh()
    mine = await make(client)
    refused(await client.delete(f"{KEYS}/{mine['id']}", headers=bearer(theirs)), 404, "api.key_not_found")
    refused(await client.delete(f"{KEYS}/{uuid4()}", headers=bearer(theirs)), 404, "api.key_not_found")
    assert [k["name"] for k in (await client.get(KEYS, headers=bearer(theirs))).json()["keys"]] == ["theirs"]


BAD_BODIES = [
    (b"", ""),
    (b"[]", ""),
    (b'{"name": 5}', "name"),
    (b'{"name": "a\\nb"}', "name"),
    (b'{"name": "a", "name": "b"}', "name"),
    (b'{"name": "' + b"x" * 101 + b'"}', "name"),
    (b'{"scopes": []}', "scopes"),
    (b'{"scopes": ["everything"]}', "scopes"),
    (b'{"scopes": [NaN]}', "NaN"),
    (b'{"tier": "royal"}', "tier"),
    (b'{"expires_at": "2020-01-01T00:00:00Z"}', "expires_at"),
    (b'{"expires_at": "2030-01-01T00:00:00"}', "expires_at"),
    (b'{"colour": "red"}', "colour"),
    (b"[" * 10_000, "deeper"),
    (b'{"name": "\\ud800"}', "surrogate"),
    (b"\xff", "UTF-8"),
]


async def test_bodies_that_make_no_key(client: httpx.AsyncClient) -> None:
    """422, and a sentence that names what is wrong."""
    for body, word in BAD_BODIES:
        problem = refused(await client.post(KEYS, content=body, headers=bearer(ADMIN)), 422, "api.invalid_request")
        assert word in problem["detail"], body[:80]


async def test_other_refusals_are_problems_too(client: httpx.AsyncClient) -> None:
    """Routing, oversize and malformed ids have the same shape."""
    refused(await client.post(KEYS, content=b" " * 70_000, headers=bearer(ADMIN)), 413, "api.body_too_large")
    refused(await client.delete(f"{KEYS}/nonsense", headers=bearer(ADMIN)), 422, "api.invalid_request")
    refused(await client.get(f"{USAGE}?request_id=nonsense", headers=bearer(ADMIN)), 422, "api.invalid_request")
    refused(await client.get("/api/v1/nothing"), 404, "api.route_not_found")
    refused(await client.put(KEYS), 405, "api.method_not_allowed")


async def publish(process: App, version: int, *models: CatalogueModel) -> None:
    """Let inference say what its catalogue is."""
    await process.bus.publish(envelop(CatalogueChanged(version=version, models=list(models)), CATALOGUE_CHANGED))
    async with asyncio.timeout(1):
        while process.catalogue.version < version:
            await asyncio.sleep(0.01)


async def test_models_are_listed_and_found(client: httpx.AsyncClient, process: App) -> None:
    """OpenAI's shape; names with a slash work as they are and encoded; aliases lead to their model."""
    await publish(process, 3, SIM)
    expected = {"id": "sim/fast", "object": "model", "created": CREATED, "owned_by": "sim"}
    assert (await client.get(MODELS, headers=bearer(USER))).json() == {"object": "list", "data": [expected]}
    for name in ("sim/fast", "sim%2Ffast", "quick"):
        assert (await client.get(f"{MODELS}/{name}", headers=bearer(USER))).json() == expected
    unknown = await client.get(f"{MODELS}/sim/slow", headers=bearer(USER))
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "model_not_found"
    assert "sim/slow" in unknown.json()["error"]["message"]


async def test_an_order_goes_to_the_owner_of_the_catalogue(client: httpx.AsyncClient, process: App) -> None:
    """A registration is answered 202 with the version before it, and reaches the bus as a command."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    listening = await process.bus.listen(REGISTER_MODEL, heard.put)
    await publish(process, 7, SIM)
    response = await client.post(ADMIN_MODELS, json=TINY, headers=bearer(ADMIN))
    assert (response.status_code, response.json()) == (202, {"name": "local/tiny", "catalogue_version": 7})
    command = decode(RegisterModel, await asyncio.wait_for(heard.get(), 2), REGISTER_MODEL.wire)
    assert command == RegisterModel(**TINY)
    await listening.stop()
    shown = (await client.get(ADMIN_MODELS, headers=bearer(ADMIN))).json()
    assert shown["catalogue_version"] == 7
    assert shown["models"][0]["price"]["output_nano"] == 200_000


IMPOSSIBLE: list[tuple[dict[str, Any], int]] = [
    ({"name": "has space"}, 422),
    ({"engine": "telepathy"}, 422),
    ({"url": "ftp://127.0.0.1/v1"}, 422),
    ({"url": "http://user:pw@127.0.0.1/v1"}, 422),
    ({"url": "http://169.254.169.254/v1"}, 422),
    ({"url": "http://[::ffff:169.254.169.254]/v1"}, 422),
    ({"url": "http://127.0.0.1:99999/v1"}, 422),
    ({"secret": "sk-a-key-itself"}, 422),
    ({"input_nano": -1}, 422),
    ({"input_nano": 0.5}, 422),
    ({"aliases": ["sim/fast"]}, 409),
    ({"name": "quick"}, 409),
]
CODES = {422: "api.invalid_request", 409: "api.model_name_taken"}


async def test_models_that_can_not_be(client: httpx.AsyncClient, process: App) -> None:
    """The operator hears at once what the catalogue would refuse, and which field is meant."""
    await publish(process, 1, SIM)
    for change, status in IMPOSSIBLE:
        response = await client.post(ADMIN_MODELS, json=TINY | change, headers=bearer(ADMIN))
        problem = refused(response, status, CODES[status])
        named = next(iter(change)) if status == 422 else "sim/fast"
        assert named in problem["detail"], change


async def test_only_a_known_model_is_removed(client: httpx.AsyncClient, process: App) -> None:
    """By its name; an alias or an unknown name is 404."""
    await publish(process, 2, SIM)
    removed = await client.delete(f"{ADMIN_MODELS}/sim%2Ffast", headers=bearer(ADMIN))
    assert (removed.status_code, removed.json()) == (202, {"name": "sim/fast", "catalogue_version": 2})
    for name in ("quick", "sim/slow"):
        refused(await client.delete(f"{ADMIN_MODELS}/{name}", headers=bearer(ADMIN)), 404, "api.model_not_found")


async def test_usage_is_what_billing_says(client: httpx.AsyncClient, process: App) -> None:
    """A project sees its own usage, an operator that of the platform; either may ask for one request."""
    asked: list[ReadUsage] = []

    async def answer(body: bytes) -> bytes:
        asked.append(decode(ReadUsage, body, READ_USAGE.wire))
        used = ModelUsage(requests=2, prompt_tokens=40, completion_tokens=10, cost_nano=6_000_000)
        report = UsageReport(
            requests=2,
            prompt_tokens=40,
            completion_tokens=10,
            cost_nano=6_000_000,
            currency="USD",
            by_model={"m": used},
        )
        return encode(report, READ_USAGE.wire)

    billing = await process.bus.answer(READ_USAGE, answer)
    figures = {"requests": 2, "prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50, "cost_nano": 6_000_000}
    expected = figures | {"currency": "USD", "by_model": {"m": figures}}
    request_id, tenant = uuid4(), process.keys.authenticate(bearer(USER)["authorization"]).tenant
    assert (await client.get(USAGE, headers=bearer(USER))).json() == expected
    await client.get(f"{USAGE}?request_id={request_id}", headers=bearer(USER))
    await client.get(USAGE, headers=bearer(ADMIN))
    assert asked == [ReadUsage(tenant=tenant), ReadUsage(tenant=tenant, request_id=request_id), ReadUsage()]
    await billing.stop()


async def test_usage_says_that_billing_is_away(client: httpx.AsyncClient) -> None:
    """504 within three seconds, with advice."""
    async with asyncio.timeout(3):
        response = await client.get(USAGE, headers=bearer(USER))
    problem = refused(response, 504, "common.no_answer")
    assert "billing" in problem["detail"]
    assert int(response.headers["retry-after"]) > 0
