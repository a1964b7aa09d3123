"""The parts of the NATS adapter that need no server."""

import asyncio

import pytest

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.attempts import attempted
from penstock_common.messaging.connect import make_bus, make_topology_job
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.nats import story
from penstock_common.messaging.nats.bus import NatsBus
from penstock_common.messaging.nats.client import Raw
from penstock_common.messaging.nats.origin import Origin, incoming, origin_of
from penstock_common.messaging.nats.protocol import command, head_of, headers_of
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
    assert origin_of(reply) == Origin("TEST", "test-on-counted", 42, 3)


def test_a_message_from_elsewhere_has_an_id_too() -> None:
    """Published by other means, it is known by its place in the stream."""
    message = incoming(Raw("s", SHORT, b"NATS/1.0\r\nX-Some: v\r\n\r\n", b""), 0.0)
    assert (message.message_id, message.headers) == ("TEST:42", {"x-some": "v"})


def test_headers_come_as_they_were_sent() -> None:
    """With lower-case names, colons and characters of any language in their values."""
    sent = {"ce-id": "a: b", "Nats-Msg-Id": "1", "x": "größer", "empty": ""}
    assert headers_of(head_of(sent)) == {name.lower(): value for name, value in sent.items()}


def test_a_value_can_not_end_its_line() -> None:
    """It could say more to the server than a header."""
    head = head_of({"reason": "a\r\nEvil: 1\nmore\rmore", "x\r\ny": "1"})
    assert headers_of(head) == {"reason": "a  Evil: 1 more more", "x  y": "1"}


def test_headers_written_by_others_are_read_too() -> None:
    """Spaces around a value are optional, and bytes that are no text stay readable."""
    assert headers_of(b"NATS/1.0\r\nA:1\r\nB :  2 \r\nC: \xff\r\n\r\n") == {"a": "1", "b": "2", "c": "\ufffd"}


def test_the_servers_own_words_are_known() -> None:
    """A status, what it means, and what else it says."""
    assert headers_of(b"NATS/1.0 503\r\n\r\n") == {"status": "503", "description": ""}
    beat = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\n\r\n"
    assert headers_of(beat) == {"status": "100", "description": "Idle Heartbeat", "nats-last-consumer": "7"}


def test_a_command_says_how_long_it_is() -> None:
    """Headers count twice: apart, and with the body."""
    assert command("s", "", b"", b"body") == b"PUB s  4\r\nbody\r\n"
    head = head_of({"a": "1"})
    assert command("s", "r", head, b"body") == b"HPUB s r 18 22\r\n" + head + b"body\r\n"


def test_the_story_goes_on_through_quarantine() -> None:
    """Where and when it began stays, attempts add up; the bus's own headers stay behind."""
    origin = Origin("TEST", LANE.name, 42, 3)
    message = delivered(1)
    message.headers = {**message.headers, "nats-msg-id": "1", "dlq-attempts": "99"}
    told = (attempted(2, "a.code", "why", ""),)
    moved = story.suspect(message, LANE, origin, story.Told(2, "no answer", "2026-01-01T00:00:00+00:00", told))
    message.headers = moved.headers
    lane = LANE.quarantine
    assert lane
    end = (attempted(1, "b.code", "end", ""),)
    dead = story.dead(message, lane, Origin("QUARANTINE", lane.name, 5, 1), story.Told(1, "end", "2026-01-02", end))
    letter = DeadLetter.parse(dead.headers, dead.body)
    assert (letter.attempts, letter.sequence, letter.subject) == (3, "TEST:42", message.subject)
    assert (letter.first_failed_at.isoformat(), letter.reason) == ("2026-01-01T00:00:00+00:00", "end")
    assert [(attempt.number, attempt.code) for attempt in letter.story] == [(2, "a.code"), (3, "b.code")]
    assert dead.message_id == f"dlq.test-on-counted:TEST:42:{message.message_id}"
    assert "nats-msg-id" not in dead.headers


def test_what_takes_the_place_of_a_lost_message_is_another_one() -> None:
    """A damaged stream counts on from where it still is: JetStream must not take one move for the repeat of another."""
    origin, told = Origin("TEST", LANE.name, 42, 3), story.Told(2, "why", "2026-01-01T00:00:00+00:00")
    first, second = delivered(1), delivered(2)
    for move in (story.dead, story.suspect):
        ids = [move(message, LANE, origin, told).message_id for message in (first, first, second)]
        assert ids[0] == ids[1] != ids[2]


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
