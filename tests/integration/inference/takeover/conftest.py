"""The adapter, and engines that continue answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.clock import SystemClock
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.adapters.engines.http.client import EngineHttp
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.secrets import Secrets
from tests.support.generation_fakes import a_sealer

PATIENT = EngineTimes(connect=20.0, first_token=20.0, between_tokens=20.0)


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[CompatibleEngine]:
    """The adapter, so patient that a busy machine fails no test."""
    secrets = Secrets(tmp_path / "secrets", a_sealer(tmp_path / "keys"), {})
    adapter = CompatibleEngine(EngineHttp(PATIENT), secrets, SystemClock(), PATIENT)
    yield adapter
    await adapter.close()
