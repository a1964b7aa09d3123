"""A full lane as clients see it: who waits, who is told to come back, and who has slots of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, RateLimitError

from penstock_inference.app import App as Inference
from tests.integration.inference.admission.conftest import MODEL, models_file, until
from tests.integration.inference.admission.gated_engine import GatedEngine
from tests.support.api import ADMIN, USER
from tests.support.chat import ApiProcess, api_process
from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.replicas import client_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@dataclass
class Platform:
    """An api and an inference process."""

    api: ApiProcess
    inference: Inference
    engine: GatedEngine

    def ask(self, prompt: str, *, key: str = USER, stream: bool = True) -> "asyncio.Task[str]":
        """Ask with the official client, which does not try again by itself; gives the text."""
        return asyncio.create_task(self._ask(prompt, key, stream=stream))

    async def _ask(self, prompt: str, key: str, *, stream: bool) -> str:
        messages: Any = [{"role": "user", "content": prompt}]
        async with AsyncOpenAI(base_url=f"{self.api.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
            if not stream:
                answer = await client.chat.completions.create(model=MODEL, messages=messages)
                return answer.choices[0].message.content or ""
            events = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
            return "".join([event.choices[0].delta.content or "" async for event in events if event.choices])

    async def running(self, *prompts: str) -> None:
        """Until the engine was asked these."""
        await until(lambda: set(prompts) <= set(self.engine.begun))

    async def waiting(self, count: int) -> list[str]:
        """The ids of the requests that wait, once they are so many."""
        await until(lambda: len(self.inference.interactive.queue) == count)
        return [str(request_id) for request_id in self.inference.registry.waiting]


@asynccontextmanager
async def platform_on(databases: Databases, bus_url: str, folder: Path, **settings: Any) -> AsyncIterator[Platform]:
    """Start it; `settings` are those of inference."""
    async with (
        GatedEngine().serving() as engine,
        inference_process(databases, bus_url, folder, models_file=models_file(folder, engine), **settings) as inference,
        api_process(databases, bus_url, folder / "keyring") as api,
    ):
        await until(lambda: api.app.catalogue.resolve(MODEL) is not None)
        yield Platform(api, inference, engine)


async def state_of(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    """What api says of a request."""
    response = await client.get(f"/api/v1/inference/{request_id}")
    assert response.status_code == 200, response.text
    state: dict[str, Any] = response.json()
    return state


async def test_beyond_its_share_a_project_is_told_to_come_back(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """429 with `Retry-After` in OpenAI's shape, streamed or not; the request has its id, its end, and no charge."""
    async with platform_on(platform_databases, bus_url, tmp_path, slots=1, waiting=2) as platform:
        first = platform.ask("one")
        await platform.running("one")
        second = platform.ask("two")
        await platform.waiting(1)
        for stream in (True, False):
            with pytest.raises(RateLimitError) as refused:
                await platform.ask("three", stream=stream)
            body: Any = refused.value.body
            assert (body["type"], body["code"]) == ("rate_limit_error", "inference.overloaded")
            assert "of this project wait already" in body["message"]
            assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
            async with client_of(platform.api) as client:
                state = await state_of(client, refused.value.response.headers["x-request-id"])
            assert (state["state"], state["error_code"]) == ("failed", "inference.overloaded")
            assert (state["tokens"]["prompt"], state["tokens"]["completion"]) == (0, 0)
        platform.engine.open()
        assert [await first, await second] == ["one", "two"]
        assert platform.engine.begun == ["one", "two"]


async def test_what_waits_is_queued_and_can_be_stopped(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Its state tells its place; stopped, its client's stream ends without text, and the engine hears nothing."""
    async with (
        platform_on(platform_databases, bus_url, tmp_path, slots=1, waiting=20) as platform,
        client_of(platform.api) as client,
    ):
        first = platform.ask("one")
        await platform.running("one")
        waiting = [platform.ask("two")]
        await platform.waiting(1)
        waiting.append(platform.ask("three"))
        ids = await platform.waiting(2)
        states = [await state_of(client, request_id) for request_id in ids]
        assert [(state["state"], state["position"], state["attempts"]) for state in states] == [
            ("queued", 1, 0),
            ("queued", 2, 0),
        ]
        stopped = await client.delete(f"/api/v1/inference/{ids[0]}")
        assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")
        assert await waiting[0] == ""
        platform.engine.open()
        assert [await first, await waiting[1]] == ["one", "three"]
        assert platform.engine.begun == ["one", "three"]


async def test_a_key_of_the_tier_enterprise_has_slots_of_its_own(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Made by an administrator, its requests take the reserved slot while others wait."""
    async with (
        platform_on(platform_databases, bus_url, tmp_path, slots=2, reserved=1) as platform,
        client_of(platform.api, ADMIN) as admin,
    ):
        made = await admin.post("/api/v1/keys", json={"name": "first class", "tier": "enterprise"})
        assert (made.status_code, made.json()["tier"]) == (201, "enterprise")
        ordinary = [platform.ask("one")]
        await platform.running("one")
        ordinary.append(platform.ask("two"))
        await platform.waiting(1)
        privileged = platform.ask("first class", key=made.json()["key"])
        await platform.running("first class")
        platform.engine.let("first class")
        assert await privileged == "first class"
        assert platform.engine.begun == ["one", "first class"]
        platform.engine.open()
        assert [await task for task in ordinary] == ["one", "two"]
