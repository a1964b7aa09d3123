"""Processes die, freeze or stop while requests wait in them: others answer all of them, each once."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.integration.inference.admission.conftest import MODEL, until
from tests.integration.inference.admission.gated_engine import GatedEngine
from tests.integration.inference.takeover.processes import Adapter, Stack, Stream, stack_on
from tests.support.databases import Databases

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SLOTS, CLIENTS = 2, 8
LANE = {"slots": SLOTS, "waiting": 100}
ON_THE_BUS = 0.5  # seconds from acceptance to inference, and more
LONGER_THAN_API_WAITS = 8.0  # seconds; after six of silence it would publish a request again


@dataclass
class Scene:
    """One process in which most requests wait, and their clients."""

    stack: Stack
    engine: GatedEngine
    first: Adapter
    streams: dict[str, Stream]

    async def all_answered(self) -> None:
        """Every client has its own text, whole, and every request ended once, charged as measured."""
        self.engine.open()
        async with asyncio.timeout(90):
            await asyncio.gather(*(stream.over() for stream in self.streams.values()))
        assert {prompt: stream.text for prompt, stream in self.streams.items()} == {p: p for p in self.streams}
        assert all(stream.is_done and not stream.error for stream in self.streams.values())
        rows = await self.stack.rows("select outcome, prompt_tokens, completion_tokens from inference.generations")
        assert Counter(map(tuple, rows)) == {("succeeded", 7, 3): CLIENTS}
        facts = "select count(*) from inference.outbox where subject = 'inference.generation.completed.v1'"
        assert [fact["count"] for fact in await self.stack.rows(facts)] == [CLIENTS]


@pytest.fixture
async def scene(
    platform_databases: Databases, bus_url: str, tmp_path: Path, engine: GatedEngine
) -> AsyncIterator[Scene]:
    """Two of eight are at the engine, which says nothing; the others wait."""
    async with AsyncExitStack() as exits:
        model = {"name": MODEL, "engine": "openai-compatible", "url": engine.url, "price": {"input": 1, "output": 2}}
        stack = await exits.enter_async_context(stack_on(platform_databases, bus_url, tmp_path, [model]))
        first = await stack.start(**LANE)
        await stack.knows(MODEL)
        streams, before = {}, held_open()
        for number in range(CLIENTS):
            prompt = f"prompt {number}"
            stream = Stream(stack, messages=[{"role": "user", "content": prompt}])
            streams[prompt] = await exits.enter_async_context(stream.reading())
        await until(lambda: len(engine.begun) == SLOTS)
        await until(lambda: held_open() == before + CLIENTS)
        await asyncio.sleep(ON_THE_BUS)
        yield Scene(stack, engine, first, streams)


def held_open() -> float:
    """Requests that the api process holds open."""
    return REGISTRY.get_sample_value("penstock_chat_open") or 0.0


async def test_waiting_is_no_silence(scene: Scene) -> None:
    """Clients wait for long: nothing is published again, claimed or begun twice, and all get their answers."""
    await asyncio.sleep(LONGER_THAN_API_WAITS)
    assert len(scene.engine.begun) == SLOTS
    await scene.all_answered()
    assert len(scene.engine.begun) == CLIENTS
    attempts = await scene.stack.rows("select distinct attempt from inference.generations")
    assert [row["attempt"] for row in attempts] == [1]


async def test_killed_while_requests_wait(scene: Scene) -> None:
    """Another process has them all, those that ran and those that waited."""
    await scene.stack.start(**LANE)
    scene.first.kill()
    await scene.all_answered()


async def test_frozen_while_requests_wait(scene: Scene) -> None:
    """The other process has them; thawed, the first one begins none of those that ended meanwhile."""
    await scene.stack.start(**LANE)
    scene.first.signal(signal.SIGSTOP)
    await scene.all_answered()
    begun = len(scene.engine.begun)
    scene.first.signal(signal.SIGCONT)
    await asyncio.sleep(3.0)
    assert len(scene.engine.begun) == begun
