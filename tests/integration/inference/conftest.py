"""An HTTP engine to be called, and the adapter that calls it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.clock import SystemClock
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.adapters.engines.session import EngineTimes, make_session
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import Model
from tests.support.engine_calls import a_model
from tests.support.engine_fake import FakeEngine

TIMES = EngineTimes(connect=1.0, first_token=0.4, between_tokens=0.4)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeEngine]:
    """An engine that does what it is told."""
    async with FakeEngine().serving() as engine:
        yield engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[CompatibleEngine]:
    """The adapter, with short patience."""
    secrets = Secrets(tmp_path, Sealer(LocalKeyring(tmp_path / "keys")), {"ENGINE_KEY": "sk-engine"})
    adapter = CompatibleEngine(make_session(TIMES), secrets, SystemClock(), TIMES)
    yield adapter
    await adapter.close()


@pytest.fixture
def model(upstream: FakeEngine) -> Model:
    """A model of that engine."""
    return a_model(url=upstream.url, upstream_model="upstream", secret="ENGINE_KEY")
