"""Services that are broken on purpose turn a chaos run red."""

from collections.abc import Sequence

import pytest

from tests.chaos.equipment import MODULES
from tests.chaos.faults import Fault, Kind
from tests.chaos.plans import Load
from tests.chaos.report import Result
from tests.chaos.run import Campaign, carry_out

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.xdist_group("heavy"), pytest.mark.timeout(600)]

SEED = 8
MUTANTS = "tests.chaos.mutants"
FREEZES = [Fault(5.0, Kind.FREEZE, "inference-0", 7.0), Fault(14.0, Kind.FREEZE, "inference-1", 7.0)]
"""Each longer than the bus waits for a sign of life."""


async def with_mutant(service: str, mutant: str, faults: Sequence[Fault], seconds: float) -> Result:
    """A run in which one service is a mutant."""
    campaign = Campaign(
        bus="nats",
        seed=SEED,
        seconds=seconds,
        streams=30,
        load=Load(SEED, seconds=(8.0, 16.0)),
        modules={**MODULES, service: f"{MUTANTS}.{mutant}"},
        faults=faults,
        patience=20.0,
        errands=False,
    )
    result = await carry_out(campaign)
    print("\n".join(result.lines()))
    return result


@pytest.mark.parametrize("mutant", ["dropping_api", "doubling_api"])
async def test_a_chunk_is_dropped_or_doubled_by_api(mutant: str) -> None:
    """One in a hundred, without any fault."""
    result = await with_mutant("api", mutant, (), seconds=5)
    assert result.count("text_differs", "done_on_truncated")


async def test_a_frozen_adapter_wakes_and_wins() -> None:
    """Its lease never ends, and its row asks nobody for an attempt."""
    result = await with_mutant("inference", "unfenced_inference", FREEZES, seconds=16)
    assert result.count("attempt_differs", "lost")
