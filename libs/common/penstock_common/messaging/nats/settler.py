"""How a delivery ends on JetStream."""

from collections.abc import Sequence

from penstock_common.messaging.attempts import NO_WORD
from penstock_common.messaging.nats import story
from penstock_common.messaging.nats.connection import Connection
from penstock_common.messaging.nats.notes import Notes
from penstock_common.messaging.nats.origin import origin_of
from penstock_common.messaging.nats.protocol import command
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import ACK_WAIT, Consumer

HEARTBEAT = ACK_WAIT / 3  # seconds
CONFIRM_TIMEOUT = 2.0  # seconds


class NatsSettler:
    """Acks are sent at once; counts and reasons are kept in notes, moves are confirmed first."""

    heartbeat: float | None = HEARTBEAT

    def __init__(self, connection: Connection, notes: Notes) -> None:
        self._connection, self._notes = connection, notes

    def holds(self, message: Incoming) -> bool:
        """Whether this process may still speak for a delivery: JetStream can't have given it to another."""
        return self._connection.client.is_connected and self._connection.pulse.now() < message.held_until

    async def opening(self, message: Incoming, lane: Consumer) -> tuple[int, int]:
        """(attempt from 1, earlier attempts that ended without a word); a first delivery costs no round trip."""
        if message.held_until - self._connection.pulse.now() < HEARTBEAT:  # it waited for a blocked loop
            self.extend([message])
        if not message.redelivered:
            return 1, 0
        origin = origin_of(message.raw)
        if origin.delivered == 1:
            return 1, 0
        note = await self._notes.read(origin)
        if note is None:  # keeps the time at which it began
            note = await self._notes.add(origin, reason=NO_WORD)
        attempt = origin.delivered - note.handed
        return attempt, attempt - 1 - note.told

    async def ack(self, *messages: Incoming) -> None:
        """Handled; never deliver again. Kept for the server's return where it is away."""
        self._end(messages, b"+ACK")

    def extend(self, messages: Sequence[Incoming]) -> None:
        """Still at work; says nothing where another process may have one already, whose time it would extend."""
        connection, now = self._connection, self._connection.pulse.now()
        held = [message for message in messages if now < message.held_until]
        if held and connection.client.is_connected:
            connection.put(said(held, b"+WPI"))
            for message in held:
                message.held_until = now + ACK_WAIT

    async def retry(self, message: Incoming, lane: Consumer, delay: float, reason: str) -> None:
        """Deliver again after `delay` seconds; the attempt counts."""
        await self._notes.add(origin_of(message.raw), told=1, reason=reason, failure=message.failure)
        self._nak(message, delay)

    async def hand_back(self, message: Incoming, delay: float = 0.0) -> None:
        """Deliver again, to anyone; the attempt was nobody's fault."""
        if message.settled:
            return
        message.settled = True
        await self._notes.add(origin_of(message.raw), handed=1)
        self._nak(message, delay)

    async def quarantine(self, message: Incoming, lane: Consumer, attempts: int) -> None:
        """Move to the quarantine lane, confirmed, then ack."""
        origin = origin_of(message.raw)
        note = await self._notes.add(origin)
        told = story.Told(attempts, note.reason, note.first, note.story)
        await self._move(story.suspect(message, lane, origin, told))
        self._end([message], b"+ACK")

    async def bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        """Move to the dead letters, confirmed and once, then ack."""
        origin = origin_of(message.raw)
        note = await self._notes.add(origin, reason=reason, failure=message.failure)
        await self._move(story.dead(message, lane, origin, story.Told(attempts, reason, note.first, note.story)))
        self._end([message], b"+ACK")

    async def _move(self, message: Outgoing) -> None:
        await self._connection.publish(message, CONFIRM_TIMEOUT)

    def _nak(self, message: Incoming, delay: float) -> None:
        if not self.holds(message):
            return  # taken back meanwhile: a nak now would end another process's attempt
        self._end([message], b'-NAK {"delay": %d}' % int(delay * 1e9) if delay else b"-NAK")

    def _end(self, messages: Sequence[Incoming], word: bytes) -> None:
        settled = False
        try:
            self._connection.put(said(messages, word), hold=True)
            settled = True
        finally:
            for message in messages:
                message.settled = settled


def said(messages: Sequence[Incoming], word: bytes) -> bytes:
    """The commands that say a word about each."""
    return b"".join([command(message.raw, "", b"", word) for message in messages])
