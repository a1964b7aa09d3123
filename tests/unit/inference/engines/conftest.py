"""The simulated engine with a record of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.clock import SystemClock
from penstock_inference.adapters.engines.sim.engine import SimulatedEngine
from penstock_inference.adapters.engines.sim.record import Record


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[SimulatedEngine]:
    """The engine; its stalls are short."""
    engine = SimulatedEngine(Record(tmp_path / "sim"), SystemClock(), stall_seconds=0.05)
    yield engine
    await engine.close()
