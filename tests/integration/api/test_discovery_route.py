"""`/api/v1/admin/discovery` over a real bus."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from penstock_api.app import App
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.discovery import DiscoveryReport, EngineHealth, Finding, ReadDiscovery
from penstock_common.topology import READ_DISCOVERY
from tests.support.api import ADMIN, USER, api_process, bearer, client_of, prepare

pytestmark = pytest.mark.integration

ROUTE = "/api/v1/admin/discovery"
SINCE = datetime(2026, 5, 4, tzinfo=UTC)
FINDING = Finding("127.0.0.1:1", ["vLLM"], "serving", "vLLM serves 1 model(s)", SINCE, "vLLM", "0.11", ["vllm/m"])
SICK = EngineHealth(url="http://127.0.0.1:1/v1", provider="vllm", models=["m"], state="unreachable", reason="away")


@pytest.fixture
async def process(postgres_database: str, bus_url: str) -> AsyncIterator[App]:
    """One api process on each bus."""
    await prepare(postgres_database, bus_url)
    async with api_process(postgres_database, bus_url) as running:
        yield running


@pytest.fixture
async def client(process: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with client_of(process) as connected:
        yield connected


async def test_what_was_found_is_shown_to_the_operator(process: App, client: httpx.AsyncClient) -> None:
    """The engines of the catalogue are asked only where that was wanted."""

    async def answer(body: bytes) -> bytes:
        engines = [SICK] if decode(ReadDiscovery, body).check else []
        return encode(DiscoveryReport(enabled=True, findings=[FINDING], engines=engines))

    subscription = await process.bus.answer(READ_DISCOVERY, answer)
    shown = (await client.get(ROUTE, headers=bearer(ADMIN))).json()
    checked = (await client.get(ROUTE, params={"check": "true"}, headers=bearer(ADMIN))).json()
    await subscription.stop()
    assert (shown["enabled"], shown["engines"]) == (True, [])
    assert shown["findings"] == [
        {
            "address": "127.0.0.1:1",
            "usual": ["vLLM"],
            "engine": "vLLM",
            "version": "0.11",
            "state": "serving",
            "reason": "vLLM serves 1 model(s)",
            "models": ["vllm/m"],
            "since": "2026-05-04T00:00:00Z",
        }
    ]
    assert [engine["state"] for engine in checked["engines"]] == ["unreachable"]


async def test_others_are_refused_and_silence_is_said(client: httpx.AsyncClient) -> None:
    """Without a process of inference there is nobody to answer; a word that is no choice is named."""
    assert (await client.get(ROUTE)).status_code == 401
    assert (await client.get(ROUTE, headers=bearer(USER))).status_code == 403
    wrong = await client.get(ROUTE, params={"check": "perhaps"}, headers=bearer(ADMIN))
    silent = await client.get(ROUTE, headers=bearer(ADMIN))
    assert (wrong.status_code, "check" in wrong.json()["detail"]) == (422, True)
    assert (silent.status_code, "inference did not answer" in silent.json()["detail"]) == (504, True)
