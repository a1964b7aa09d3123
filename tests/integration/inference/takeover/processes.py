"""Inference in processes of their own, to be killed or frozen, and a client that holds on to one connection."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import yaml

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import FindGeneration, GenerationFound
from penstock_common.service import begin
from penstock_common.topology import FIND_GENERATION
from tests.support.api import USER, bearer
from tests.support.chat import QUESTION, ApiProcess, api_process
from tests.support.continuing_engine import ContinuingEngine
from tests.support.databases import Databases
from tests.support.forks import FORKS
from tests.support.inference import make_inference

READY = 0.05  # seconds between two looks
PATIENCE = 40.0  # seconds


def work(database: str, bus: str, folder: str, ready: str, settings: dict[str, Any]) -> None:
    """Be an inference process until killed."""
    asyncio.run(_work(database, bus, Path(folder), Path(ready), settings))


async def _work(database: str, bus: str, folder: Path, ready: Path, settings: dict[str, Any]) -> None:
    app = make_inference(database, bus, folder, models_file=folder / "models.yaml", **settings)
    await begin(app)
    named = ready.with_suffix(".new")
    named.write_text(app.registry.process)
    named.rename(ready)
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Adapter:
    """One inference process."""

    process: BaseProcess
    name: str
    """What it is called on the bus."""

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.process.join()

    def signal(self, number: signal.Signals) -> None:
        """Kill, freeze or thaw it."""
        assert self.process.pid
        os.kill(self.process.pid, number)


@dataclass
class Stack:
    """One api process, and as many of inference as a test starts."""

    databases: Databases
    bus_url: str
    folder: Path
    api: ApiProcess
    adapters: list[Adapter] = field(default_factory=list)
    _started: list[BaseProcess] = field(default_factory=list)

    async def start(self, **settings: Any) -> Adapter:
        """Start a process of inference with these settings, and wait until it works."""
        ready = self.folder / f"ready-{len(self._started)}"
        given = self.databases.services["inference"], self.bus_url, str(self.folder), str(ready), settings
        process = FORKS.Process(target=work, args=given, daemon=True)
        await asyncio.to_thread(process.start)
        self._started.append(process)
        async with asyncio.timeout(PATIENCE):
            while not ready.exists():
                assert process.is_alive()
                await asyncio.sleep(READY)
        self.adapters.append(Adapter(process, ready.read_text()))
        return self.adapters[-1]

    async def owner(self, request_id: str) -> Adapter:
        """The process that generates a request."""
        find = FindGeneration(request_id=UUID(request_id), asking="")
        body = await self.api.app.bus.query(FIND_GENERATION, encode(find), PATIENCE)
        name = decode(GenerationFound, body).process
        return next(adapter for adapter in self.adapters if adapter.name == name)

    def close(self) -> None:
        """Kill what is left."""
        for process in self._started:
            process.kill()
            process.join()

    async def knows(self, model: str) -> None:
        """Wait until api serves a model."""
        async with asyncio.timeout(PATIENCE):
            while not self.api.app.catalogue.resolve(model):
                await asyncio.sleep(READY)

    async def row(self, request_id: str) -> asyncpg.Record:
        """The row of a request that ended."""
        ended = "select * from inference.generations where request_id = $1 and outcome <> 'running'"
        async with asyncio.timeout(PATIENCE):
            while not (rows := await self.rows(ended, UUID(request_id))):
                await asyncio.sleep(READY)
        return rows[0]

    async def rows(self, query: str, *given: Any) -> list[asyncpg.Record]:
        """What the database says."""
        connection = await asyncpg.connect(self.databases.admin)
        try:
            return list(await connection.fetch(query, *given))
        finally:
            await connection.close()


@asynccontextmanager
async def stack_on(
    databases: Databases, bus_url: str, folder: Path, models: list[dict[str, Any]]
) -> AsyncIterator[Stack]:
    """An api process, and a catalogue for inference."""
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}))
    async with AsyncExitStack() as exits:
        api = await exits.enter_async_context(api_process(databases, bus_url, folder / "keyring"))
        stack = Stack(databases, bus_url, folder, api)
        exits.callback(stack.close)
        yield stack


def a_deployment(engine: ContinuingEngine, dialect: str, base: str = "/v1", **given: Any) -> dict[str, Any]:
    """An entry of models.yaml for this engine."""
    price = {"input": 1, "output": 2}
    return {"name": "engine/told", "engine": dialect, "url": engine.url(base), "price": price, **given}


class Stream:
    """One streamed answer as its client sees it, over one connection."""

    def __init__(self, stack: Stack, **body: Any) -> None:
        self.stack = stack
        self.body = {"model": "engine/told", "messages": QUESTION, "stream": True} | body
        self.request_id, self.text = "", ""
        self.heard_at: list[float] = []
        self.killed_at = 0.0
        self.error: dict[str, Any] | None = None
        self.finish = ""
        self.is_done = False
        self._task: asyncio.Task[None] | None = None

    @property
    def silence(self) -> float:
        """Seconds from the kill to the text after the longest pause."""
        times = [max(at, self.killed_at) for at in [self.killed_at, *self.heard_at]]
        return max(later - earlier for earlier, later in pairwise(times))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Stream"]:
        """Begin to read beside the test."""
        self._task = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def has(self, characters: int) -> None:
        """Wait until it has so much text."""
        assert self._task
        async with asyncio.timeout(PATIENCE):
            while len(self.text) < characters:
                assert not self._task.done(), (self.text, self.error)
                await asyncio.sleep(0.005)

    async def over(self) -> None:
        """Wait for the end of the connection."""
        assert self._task
        await asyncio.wait_for(asyncio.shield(self._task), PATIENCE)

    async def _read(self) -> None:
        client = httpx.AsyncClient(base_url=self.stack.api.url, headers=bearer(USER), timeout=60, trust_env=False)
        async with client, client.stream("POST", "/v1/chat/completions", json=self.body) as response:
            assert response.status_code == 200, await response.aread()
            self.request_id = response.headers["x-request-id"]
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    self._take(line.removeprefix("data: "))

    def _take(self, data: str) -> None:
        assert not self.is_done, "something follows [DONE]"
        if data == "[DONE]":
            self.is_done = True
            return
        chunk = json.loads(data)
        if "error" in chunk:
            self.error = chunk["error"]
            return
        for choice in chunk["choices"]:
            self.finish = choice["finish_reason"] or self.finish
            if said := choice["delta"].get("content"):
                self.text += said
                self.heard_at.append(asyncio.get_running_loop().time())
