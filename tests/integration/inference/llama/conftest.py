"""The adapter, and a model of the real engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.clock import SystemClock
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.adapters.engines.http.client import EngineHttp
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.secrets import Secrets
from penstock_inference.domain.catalogue import Model
from tests.support.engine_calls import a_model
from tests.support.llama import KEY
from tests.support.servers import Server

TIMES = EngineTimes()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[CompatibleEngine]:
    """The adapter with the times of production, and the engine's key beside a wrong one."""
    secrets = Secrets(tmp_path, Sealer(LocalKeyring(tmp_path / "keys")), {"LLAMA_KEY": KEY, "WRONG_KEY": "sk-wrong"})
    adapter = CompatibleEngine(EngineHttp(TIMES), secrets, SystemClock(), TIMES)
    yield adapter
    await adapter.close()


@pytest.fixture
def model(llama: Server) -> Model:
    """The shared engine's model."""
    return llama_model(llama)


def llama_model(server: Server, **given: str) -> Model:
    """A model of this server."""
    known = {"url": server.url, "engine": "llamacpp", "dialect": "llamacpp", "secret": "LLAMA_KEY"}
    return a_model(**known | given, upstream_model="tiny")
