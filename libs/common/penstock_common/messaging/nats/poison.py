"""Buries what JetStream stopped delivering: messages that killed their process each time."""

import asyncio
import contextlib

import msgspec
import structlog
from nats.js.errors import NotFoundError

from penstock_common.errors import BusUnavailable, PenstockError
from penstock_common.messaging.attempts import NO_WORD
from penstock_common.messaging.envelope import ORIGINAL
from penstock_common.messaging.nats import story
from penstock_common.messaging.nats.client import Raw
from penstock_common.messaging.nats.connection import Connection
from penstock_common.messaging.nats.failures import unavailable
from penstock_common.messaging.nats.notes import Notes
from penstock_common.messaging.nats.origin import Origin
from penstock_common.messaging.nats.pull import SlotPull
from penstock_common.messaging.nats.settler import CONFIRM_TIMEOUT
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Consumer, Topology

log = structlog.get_logger()

ADVISORIES = "ADVISORIES"
WATCHER = "dead-letter-watcher"
SLOTS = 8


class Advisory(msgspec.Struct, frozen=True):
    """JetStream's word that a message ran out of deliveries (io.nats.jetstream.advisory.v1.max_deliver)."""

    stream: str
    consumer: str
    stream_seq: int
    deliveries: int


class PoisonWatch:
    """Runs in every process; the dead letter's id makes it once."""

    def __init__(self, connection: Connection, notes: Notes, topology: Topology) -> None:
        self._connection, self._notes = connection, notes
        self._lanes = {lane.name: lane for lane in topology.lanes}
        self._pull = SlotPull(connection, ADVISORIES, WATCHER, SLOTS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to watch."""
        await self._pull.start(self._take, self._refuse)

    async def stop(self) -> None:
        """Watch no more."""
        await self._pull.stop()

    def _take(self, raw: Raw) -> None:
        task = asyncio.create_task(self._learn(raw))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pull.free(1)

    def _refuse(self, raw: Raw) -> None:
        with contextlib.suppress(BusUnavailable):  # then it comes again by itself
            self._connection.post(raw.reply, b"-NAK")

    async def _learn(self, raw: Raw) -> None:
        advisory = msgspec.json.decode(raw.body, type=Advisory)
        try:
            if lane := self._lanes.get(advisory.consumer):
                await self._rescue(advisory, lane)
            self._connection.post(raw.reply, b"+ACK", hold=True)
        except PenstockError as error:  # the advisory comes again
            log.warning("poison.unburied", consumer=advisory.consumer, reason=str(error))

    async def _rescue(self, advisory: Advisory, lane: Consumer) -> None:
        if lane.is_dead_lane:
            log.error("on_dead.given_up", consumer=lane.name, sequence=advisory.stream_seq)
            return
        origin = Origin(advisory.stream, lane.name, advisory.stream_seq, advisory.deliveries)
        message = await self._stored(origin)
        if message is None:
            log.error("poison.expired", consumer=lane.name, sequence=origin.sequence)
            return
        note = await self._notes.add(origin)
        attempts = advisory.deliveries - note.handed
        told = story.Told(attempts, note.reason or NO_WORD, note.first, note.story)
        if attempts < lane.max_attempts and (lane.quarantine or lane.base):  # handed back again and again
            moved = story.suspect(message, lane, origin, told)
        else:
            moved = story.dead(message, lane, origin, told)
        await self._connection.publish(moved, CONFIRM_TIMEOUT)
        log.error("delivery.given_up", consumer=lane.name, message_id=message.message_id, to=moved.subject)

    async def _stored(self, origin: Origin) -> Incoming | None:
        with unavailable():
            try:
                raw = await self._connection.client.jetstream(timeout=2).get_msg(origin.stream, origin.sequence)
            except NotFoundError:
                return None
        headers = {name.lower(): value for name, value in (raw.headers or {}).items()}
        return Incoming(
            headers.get(ORIGINAL, raw.subject or ""), headers.get("ce-id", str(origin)), headers, raw.data or b"", raw
        )
