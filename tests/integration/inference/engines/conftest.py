"""An HTTP engine to be called, and the adapter that calls it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from penstock_common.clock import SystemClock
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.adapters.engines.http.client import EngineHttp
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import Model
from tests.integration.inference.engines.misbehaving import Case, Elsewhere, Rig
from tests.support.engine_calls import a_model
from tests.support.engine_fake import FakeEngine
from tests.support.engine_wire import WireEngine
from tests.support.generation_fakes import a_sealer
from tests.unit.inference.generating.conftest import World

PATIENT = EngineTimes(connect=20.0, first_token=20.0, between_tokens=20.0)
HASTY = EngineTimes(connect=20.0, first_token=1.0, between_tokens=1.0)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeEngine]:
    """An engine that does what it is told."""
    async with FakeEngine().serving() as engine:
        yield engine


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """The keys of engines."""
    return Secrets(tmp_path, Sealer(LocalKeyring(tmp_path / "keys")), {"ENGINE_KEY": "sk-engine"})


@pytest.fixture
async def engine(secrets: Secrets) -> AsyncIterator[CompatibleEngine]:
    """The adapter, so patient that a busy machine fails no test."""
    adapter = CompatibleEngine(EngineHttp(PATIENT), secrets, SystemClock(), PATIENT)
    yield adapter
    await adapter.close()


@pytest.fixture
async def rig(secrets: Secrets, tmp_path: Path) -> AsyncIterator[Callable[[Case], Rig]]:
    """A generator for a row's request, and an engine that sends what the row says."""
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(WireEngine().serving())

        def made(case: Case) -> Rig:
            times = HASTY if case.hasty else PATIENT
            adapter = CompatibleEngine(EngineHttp(times), secrets, SystemClock(), times)
            stack.push_async_callback(adapter.close)
            model = a_model(url=wire.url, upstream_model="upstream")
            return Rig(World(a_sealer(tmp_path / "sealing"), engine=Elsewhere(adapter, model)), wire)

        yield made


@pytest.fixture
def model(upstream: FakeEngine) -> Model:
    """A model of that engine."""
    return a_model(url=upstream.url, upstream_model="upstream", secret="ENGINE_KEY")
