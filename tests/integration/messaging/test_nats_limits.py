"""What only NATS does: its limits become errors that a caller can act on."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from penstock_common.errors import BusUnavailable, MessageTooLarge
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.nats import connection
from penstock_common.messaging.ports import Bus, Outgoing
from penstock_common.messaging.topology import Stream
from tests.integration.messaging.shop import PAID, SHOP, Paid

pytestmark = pytest.mark.integration

MIB = 1 << 20


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to a server with the shop's topology, whose stream takes 2 MiB and refuses what is more."""
    small = Stream("SHOP", max_age=60, max_bytes=2 * MIB, refuse_when_full=True)
    await apply_topology(nats_url, replace(SHOP, streams=(small, *SHOP.streams[1:])))
    made = await connect_bus(nats_url, "test")
    yield made
    await made.close()


def big(size: int) -> Outgoing:
    """A message with a body of this many bytes."""
    return replace(envelop(Paid(id="x"), PAID), body=bytes(size))


async def test_a_full_stream_is_unavailable(bus: Bus) -> None:
    """Accepted work is never dropped for newer work: its publisher is refused."""
    await bus.publish(big(MIB))
    with pytest.raises(BusUnavailable, match="maximum bytes exceeded"):
        await bus.publish(big(MIB))


async def test_a_message_over_the_limit_is_no_outage(bus: Bus) -> None:
    """Trying again would not help, and the connection lives on."""
    with pytest.raises(MessageTooLarge):
        await bus.publish(big(20 * MIB))
    await bus.publish(big(1))


async def test_a_stream_that_is_not_there_is_unavailable_at_once(bus: Bus) -> None:
    """With the command that makes it."""
    with pytest.raises(BusUnavailable, match="penstock topology apply"):
        await bus.publish(replace(big(1), subject="nobody.stores.this"))


async def test_a_message_never_lands_in_another_stream(bus: Bus) -> None:
    """The stream that the topology names is part of the message."""
    with pytest.raises(BusUnavailable, match="expected stream"):
        await bus.publish(replace(big(1), stream="DLQ"))


async def test_an_inbox_that_is_not_drained_refuses(bus: Bus) -> None:
    """What doesn't leave fast enough is refused before it is buffered without bound."""
    body = bytes(MIB)
    with pytest.raises(BusUnavailable, match="fast enough"):
        for _ in range(connection.PENDING_BYTES // MIB + 64):
            bus.send("api-1", "k", body)
