"""The parts of the NATS adapter that need no server."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.connect import make_bus, make_topology_job
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.nats import story
from penstock_common.messaging.nats.bus import NatsBus
from penstock_common.messaging.nats.origin import Origin, incoming, origin_of
from penstock_common.messaging.nats.pulse import INTERVAL, Pulse
from penstock_common.messaging.nats.topology import NatsTopology
from tests.unit.messaging.fakes import LANE, delivered

SHORT = "$JS.ACK.TEST.test-on-counted.3.42.7.1700000000000000000.0"
LONG = "$JS.ACK.hub.abc.TEST.test-on-counted.3.42.7.1700000000000000000.0.x"


class BootClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def boottime(self) -> float:
        return self.seconds


@pytest.mark.parametrize("reply", [SHORT, LONG], ids=["plain", "domain"])
def test_a_delivery_says_where_it_is_from(reply: str) -> None:
    """Stream, consumer, sequence, count."""
    assert origin_of(Msg(Client(), reply=reply)) == Origin("TEST", "test-on-counted", 42, 3)


def test_a_message_from_elsewhere_has_an_id_too() -> None:
    """Published by other means, it is known by its place in the stream."""
    message = incoming(Msg(Client(), subject="s", reply=SHORT, headers={"X-Some": "v"}), 0.0)
    assert (message.message_id, message.headers) == ("TEST:42", {"x-some": "v"})


def test_the_story_goes_on_through_quarantine() -> None:
    """Where and when it began stays, attempts add up; the bus's own headers stay behind."""
    origin = Origin("TEST", LANE.name, 42, 3)
    message = delivered(1)
    message.headers = {**message.headers, "nats-msg-id": "1", "dlq-attempts": "99"}
    moved = story.suspect(message, LANE, origin, story.Told(2, "no answer", "2026-01-01T00:00:00+00:00"))
    message.headers = moved.headers
    lane = LANE.quarantine
    assert lane
    dead = story.dead(message, lane, Origin("QUARANTINE", lane.name, 5, 1), story.Told(1, "end", "2026-01-02"))
    letter = DeadLetter.parse(dead.headers, dead.body)
    assert (letter.attempts, letter.sequence, letter.subject) == (3, "TEST:42", message.subject)
    assert (letter.first_failed_at.isoformat(), letter.reason) == ("2026-01-01T00:00:00+00:00", "end")
    assert dead.message_id == "dlq.test-on-counted:TEST:42"
    assert "nats-msg-id" not in dead.headers


async def test_after_a_freeze_the_pulse_dates_back_to_its_beginning() -> None:
    """What is read in the first moments after it arrived during it."""
    clock = BootClock()
    pulse = Pulse(clock)
    pulse.start()
    clock.seconds += 6
    await asyncio.sleep(INTERVAL * 1.3)
    assert pulse.since == 100.0
    await asyncio.sleep(INTERVAL)
    assert pulse.since == 106.0
    pulse.stop()


async def test_an_unreachable_server_is_told_soon() -> None:
    """Connecting does not wait for a server that may never come."""
    bus = make_bus("nats://127.0.0.1:1", "test")
    with pytest.raises(BusUnavailable):
        async with asyncio.timeout(5):
            await bus.connect()
    assert not bus.connected


def test_the_url_picks_the_adapter() -> None:
    """By its scheme, and nothing else."""
    assert isinstance(make_bus("nats://h", "n"), NatsBus)
    assert isinstance(make_topology_job("tls://h"), NatsTopology)
    assert type(make_bus("amqp://h", "n")).__name__ == "RabbitBus"
    with pytest.raises(ValueError, match="not 'kafka'"):
        make_bus("kafka://h", "n")
