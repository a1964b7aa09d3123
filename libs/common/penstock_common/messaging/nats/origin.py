"""Where a delivery comes from, read from JetStream's own reply subject."""

from typing import NamedTuple

from penstock_common.messaging import deadletter
from penstock_common.messaging.envelope import MESSAGE_ID, ORIGINAL
from penstock_common.messaging.nats.client import Raw
from penstock_common.messaging.nats.protocol import headers_of
from penstock_common.messaging.ports import Incoming

SHORT = 9  # tokens of $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…; else domain and account come first


class Origin(NamedTuple):
    """The stored message and how often it was delivered."""

    stream: str
    consumer: str
    sequence: int
    delivered: int

    def __str__(self) -> str:
        return f"{self.stream}:{self.sequence}"


def origin_of(reply: str) -> Origin:
    """Read from `$JS.ACK.…`."""
    stream, consumer, delivered, sequence, *_ = _tokens(reply)
    return Origin(stream, consumer, int(sequence), int(delivered))


def incoming(raw: Raw, held_until: float) -> Incoming:
    """A delivery of a lane, for handlers; its `raw` is the reply subject. `held_until` is in CLOCK_BOOTTIME seconds."""
    headers = headers_of(raw.head)
    id_ = headers.get(MESSAGE_ID) or headers.get("nats-msg-id") or str(origin_of(raw.reply))
    again = _tokens(raw.reply)[2] != "1" or deadletter.ATTEMPTS in headers
    subject = headers.get(ORIGINAL, raw.subject)
    return Incoming(subject, id_, headers, raw.body, raw.reply, redelivered=again, held_until=held_until)


def _tokens(reply: str) -> list[str]:
    """Stream, consumer, deliveries, sequence and more."""
    tokens = reply.split(".")
    return tokens[2:] if len(tokens) == SHORT else tokens[4:]
