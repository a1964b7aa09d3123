"""An inference process of few slots, the engine that it asks, and somebody who asks it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml

from penstock_common.contracts.generation import GenerateText, OnDisconnect
from penstock_common.ids import uuid7
from penstock_common.sealing import Sealer
from penstock_inference.app import App
from penstock_inference.domain.ending import request_key
from tests.integration.inference.admission.gated_engine import GatedEngine
from tests.integration.inference.listening.probe import Probe, probing
from tests.support.databases import Databases
from tests.support.generation_fakes import a_command, a_sealer
from tests.support.inference import inference_process

MODEL = "engine/told"


@dataclass
class Scene:
    """One process, and what it was asked by whom."""

    app: App
    probe: Probe
    engine: GatedEngine
    sealer: Sealer
    ids: dict[str, UUID] = field(default_factory=dict)
    """The requests by their prompts."""

    async def ask(self, prompt: str, tenant: UUID, **given: Any) -> GenerateText:
        """Publish a request."""
        command = self.command(prompt, tenant, **given)
        await self.probe.publish(command)
        return command

    def command(self, prompt: str, tenant: UUID, **given: Any) -> GenerateText:
        """A request with this prompt."""
        request_id = uuid7()
        self.ids[prompt] = request_id
        body = {"messages": [{"role": "user", "content": prompt}]}
        sealed = self.sealer.seal(tenant, request_key(request_id), msgspec.json.encode(body))
        given = {"model": MODEL, "reply_to": self.probe.process, "on_disconnect": OnDisconnect.CONTINUE, **given}
        return a_command(self.sealer, request_id=request_id, tenant=tenant, sealed=sealed, **given)

    async def waiting(self, count: int) -> None:
        """Until so many wait."""
        await until(lambda: len(self.app.interactive.queue) == count)

    async def begun(self, count: int) -> list[str]:
        """The prompts that the engine was asked, once they are so many."""
        await until(lambda: len(self.engine.begun) >= count)
        return self.engine.begun

    async def ended(self, prompt: str) -> str:
        """How a request ended, once it has."""
        async with asyncio.timeout(30):
            while (state := await self.probe.read(self.ids[prompt], reply=False)).outcome in ("unknown", "running"):
                await asyncio.sleep(0.05)
        return state.outcome


Scenes = Callable[..., Awaitable[Scene]]


def models_file(folder: Path, engine: GatedEngine) -> Path:
    """A catalogue of the engine's model."""
    path = folder / "models.yaml"
    model = {"name": MODEL, "engine": "openai-compatible", "url": engine.url, "price": {"input": 1, "output": 2}}
    path.write_text(yaml.safe_dump({"models": [model]}))
    return path


@pytest.fixture
async def engine() -> AsyncIterator[GatedEngine]:
    """An engine that answers nothing yet."""
    async with GatedEngine().serving() as serving:
        yield serving


@pytest.fixture
async def scenes(
    platform_databases: Databases, bus_url: str, tmp_path: Path, engine: GatedEngine
) -> AsyncIterator[Scenes]:
    """Makes the scene on each bus; what it is given are settings of inference."""
    async with AsyncExitStack() as exits:

        async def make(**settings: Any) -> Scene:
            models = models_file(tmp_path, engine)
            process = inference_process(platform_databases, bus_url, tmp_path, models_file=models, **settings)
            app = await exits.enter_async_context(process)
            probe = await exits.enter_async_context(probing(bus_url))
            return Scene(app, probe, engine, a_sealer(tmp_path / "keyring"))

        yield make


async def until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)
