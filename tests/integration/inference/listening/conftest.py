"""An inference process, the engine that it asks, and somebody who listens."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock_common.contracts.generation import GenerateText
from penstock_common.sealing import Sealer
from penstock_inference.app import App
from tests.integration.inference.listening.probe import Probe, probing
from tests.support.databases import Databases
from tests.support.engine_fake import FakeEngine
from tests.support.generation_fakes import a_command, a_sealer
from tests.support.inference import inference_process

MODEL = "engine/told"
MODELS = """
- name: {name}
  url: {url}
  upstream_model: upstream
  price: {{input: 1, output: 2}}
"""
Command = Callable[..., GenerateText]
Process = Callable[[], AbstractAsyncContextManager[App]]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeEngine]:
    """An engine that does what it is told."""
    async with FakeEngine().serving() as engine:
        yield engine


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """The keys that all processes share."""
    return a_sealer(tmp_path / "keyring")


@pytest.fixture
def process(platform_databases: Databases, bus_url: str, tmp_path: Path, upstream: FakeEngine) -> Process:
    """Starts an inference process that serves the engine's model."""
    models = tmp_path / "models.yaml"
    models.write_text("models:" + MODELS.format(name=MODEL, url=upstream.url))
    return partial(inference_process, platform_databases, bus_url, tmp_path, models_file=models)


@pytest.fixture
async def inference(process: Process) -> AsyncIterator[App]:
    """One such process."""
    async with process() as app:
        yield app


@pytest.fixture
async def probe(bus_url: str, inference: App) -> AsyncIterator[Probe]:
    """Somebody who listens."""
    async with probing(bus_url) as probe:
        yield probe


@pytest.fixture
def command(probe: Probe, sealer: Sealer) -> Command:
    """Makes requests that the probe waits for."""

    def make(**given: Any) -> GenerateText:
        return a_command(sealer, **{"model": MODEL, "reply_to": probe.process, **given})

    return make
