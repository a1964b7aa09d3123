"""Where a delivery comes from, read from JetStream's own reply subject."""

from typing import NamedTuple

from nats.aio.msg import Msg

from penstock_common.messaging import deadletter
from penstock_common.messaging.envelope import MESSAGE_ID
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


def origin_of(msg: Msg) -> Origin:
    """Read from `$JS.ACK.…`."""
    tokens = msg.reply.split(".")
    first = 2 if len(tokens) == SHORT else 4
    return Origin(tokens[first], tokens[first + 1], int(tokens[first + 3]), int(tokens[first + 2]))


def incoming(msg: Msg, held_until: float) -> Incoming:
    """A delivery of a lane, for handlers. `held_until` is in CLOCK_BOOTTIME seconds."""
    headers = {name.lower(): value for name, value in (msg.headers or {}).items()}
    origin = origin_of(msg)
    id_ = headers.get(MESSAGE_ID) or headers.get("nats-msg-id") or str(origin)
    again = origin.delivered > 1 or deadletter.ATTEMPTS in headers
    return Incoming(msg.subject, id_, headers, msg.data, msg, redelivered=again, held_until=held_until)
