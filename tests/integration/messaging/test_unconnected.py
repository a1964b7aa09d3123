"""A bus that was never there."""

import pytest

from penstock.platform.ports import LOOPBACK, free_ports
from penstock_common.errors import BusUnavailable
from penstock_common.messaging.connect import make_bus

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("scheme", ["nats", "amqp"])
async def test_a_bus_that_was_never_reached_is_closed_without_a_word(scheme: str) -> None:
    """A process that gives up its start says why, and nothing about how it ended."""
    (nowhere,) = free_ports(1)
    bus = make_bus(f"{scheme}://me:secret@{LOOPBACK}:{nowhere}", "test")
    with pytest.raises(BusUnavailable):
        await bus.connect()
    await bus.close()
