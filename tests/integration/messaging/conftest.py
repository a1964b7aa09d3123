"""A bus with a server of its own, wiped and laid out anew for every test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock_common.messaging.connect import apply_topology
from tests.integration.messaging.rig import Rig
from tests.integration.messaging.shop import SHOP
from tests.integration.messaging.sides import Side, make_side


@pytest.fixture(params=["nats", "rabbitmq"], scope="package")
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """One server per test process, ended with the last of these tests: they kill it."""
    made = make_side(request.param)
    made.server.start()
    yield made
    made.server.dispose()


@pytest.fixture
async def rig(side: Side, tmp_path: Path) -> AsyncIterator[Rig]:
    """An empty bus with the shop's topology."""
    await side.wipe(SHOP)
    await apply_topology(side.server.url, SHOP)
    made = Rig(side, tmp_path)
    await made.open()
    yield made
    await made.close()
