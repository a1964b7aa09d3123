"""A short chaos run on each bus: between them every kind of fault comes, under live streams and errands."""

import os

import pytest

from tests.chaos.faults import CLUSTER
from tests.chaos.plans import Load
from tests.chaos.run import Campaign, carry_out

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.xdist_group("heavy"), pytest.mark.timeout(600)]

SECONDS = {"nats": 70.0, "rabbitmq": 70.0, CLUSTER: 30.0}
"""Of faults; the test of all three is to take five minutes."""
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "15"))
STREAMS = int(os.environ.get("PENSTOCK_TEST_STREAMS", "100"))
"""Live at once."""


@pytest.mark.parametrize("bus", SECONDS)
async def test_nothing_accepted_is_lost_or_charged_twice(bus: str) -> None:
    """Every client has its answer, gapless and once; every answer is charged once, as the engine counted it; every
    run, tick and document that was accepted comes to its end, once."""
    load = Load(SEED, seconds=(6.0, 14.0), pace=(1.5, 4.0))
    result = await carry_out(Campaign(bus=bus, seed=SEED, seconds=SECONDS[bus], streams=STREAMS, load=load))
    report = "\n".join(result.lines())
    print(report)
    assert result.passed, report
    assert len(result.accepted) >= STREAMS
    assert all(result.errands.values())
    assert sum(outcome.resumed for outcome in result.accepted)
    assert any(outcome.attempt > 1 for outcome in result.accepted)
