"""A short chaos run on each bus: everything is killed, frozen and restarted once or more under live streams."""

import os

import pytest

from tests.chaos.plans import Load
from tests.chaos.run import Campaign, carry_out
from tests.chaos.stack import BUSES

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(600)]

SECONDS = 40.0
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "12"))
STREAMS = int(os.environ.get("PENSTOCK_TEST_STREAMS", "200"))
"""Live at once."""


@pytest.mark.parametrize("bus", BUSES)
async def test_nothing_accepted_is_lost_or_charged_twice(bus: str) -> None:
    """Every client has its answer, gapless and once; every answer is charged once, as the engine counted it."""
    load = Load(SEED, seconds=(6.0, 14.0), pace=(1.5, 4.0))
    result = await carry_out(Campaign(bus=bus, seed=SEED, seconds=SECONDS, streams=STREAMS, load=load))
    report = "\n".join(result.lines())
    print(report)
    assert result.passed, report
    assert len(result.accepted) >= STREAMS
    assert sum(outcome.resumed for outcome in result.accepted)
    assert any(outcome.attempt > 1 for outcome in result.accepted)
