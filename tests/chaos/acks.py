"""Acknowledgements inside the protocols of the buses: lost, said twice, and in another order."""

import random
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

SHARE = 0.5  # of acknowledgements that are lost


class Mood(StrEnum):
    """What becomes of acknowledgements."""

    FAIR = "fair"
    LOST = "lost"
    TWICE = "twice"
    REORDERED = "reordered"


class Framing(NamedTuple):
    """How a protocol is cut into frames, and which of them acknowledge something."""

    size: Callable[[bytearray], int]
    """Bytes of the first frame of a buffer; 0 while it is not whole."""
    is_ack: Callable[[bytes, str, Mood], bool]
    """Whether a frame going `up` or `down` is an acknowledgement to which this may happen by the protocol's rules."""


class Handling:
    """One direction of one connection."""

    def __init__(self, framing: Framing, way: str, chance: random.Random) -> None:
        self.framing, self.way, self.chance = framing, way, chance
        self._buffer = bytearray()
        self._held = b""

    def handle(self, data: bytes, mood: Mood) -> Iterator[bytes]:
        """What goes on now; a frame that is not whole waits for its rest."""
        self._buffer += data
        while size := self.framing.size(self._buffer):
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield self._treated(frame, mood)

    def _treated(self, frame: bytes, mood: Mood) -> bytes:
        held, self._held = self._held, b""
        if mood is Mood.FAIR or not self.framing.is_ack(frame, self.way, mood):
            if held and mood is Mood.REORDERED:
                self._held = held
                return frame
            return held + frame
        if mood is Mood.LOST:
            return b"" if self.chance.random() < SHARE else frame
        if mood is Mood.TWICE:
            return frame + frame
        if not held:
            self._held = frame
            return b""
        return frame + held


def _nats_size(buffer: bytearray) -> int:
    end = buffer.find(b"\r\n") + 2
    if end < 2:
        return 0
    words = bytes(buffer[: end - 2]).split()
    if not words or words[0].upper() not in (b"PUB", b"HPUB", b"MSG", b"HMSG"):
        return end
    whole = end + int(words[-1]) + 2
    return whole if len(buffer) >= whole else 0


def _nats_ack(frame: bytes, way: str, mood: Mood) -> bool:
    """A delivery's `+ACK`, or the answer to a publish. Anything may happen to each."""
    head, _, body = frame.partition(b"\r\n")
    if way == "up":
        return head.startswith(b"PUB $JS.ACK.") and body in (b"\r\n", b"+ACK\r\n")
    return head.startswith(b"MSG _INBOX.") and body.startswith(b'{"stream":')


AMQP_GREETING, AMQP_HEAD, AMQP_END = b"AMQP", 7, 1
BASIC_ACK = b"\x00\x3c\x00\x50"


def _amqp_size(buffer: bytearray) -> int:
    if buffer.startswith(AMQP_GREETING):
        return 8 if len(buffer) >= 8 else 0
    if len(buffer) < AMQP_HEAD:
        return 0
    whole = AMQP_HEAD + int.from_bytes(buffer[3:7]) + AMQP_END
    return whole if len(buffer) >= whole else 0


def _amqp_ack(frame: bytes, way: str, mood: Mood) -> bool:
    """A `basic.ack`. A client may not send one twice, nor one that stands for several out of its turn: that is an error
    of the channel, so it can't be the network's doing."""
    if frame[:1] != b"\x01" or frame[AMQP_HEAD : AMQP_HEAD + 4] != BASIC_ACK:
        return False
    is_multiple = frame[-2] & 1
    return way == "down" or mood is Mood.LOST or (mood is Mood.REORDERED and not is_multiple)


NATS = Framing(_nats_size, _nats_ack)
AMQP = Framing(_amqp_size, _amqp_ack)
