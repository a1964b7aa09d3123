"""What is known of a message that failed: JetStream's nak carries no data, so it is kept beside it."""

from datetime import UTC, datetime

import msgspec
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.attempts import Attempt, continued
from penstock_common.messaging.nats.connection import Connection
from penstock_common.messaging.nats.failures import unavailable
from penstock_common.messaging.nats.origin import Origin

BUCKET = "failures"


class Note(msgspec.Struct, frozen=True):
    """Counts of deliveries that ended with a word; the others ended silently."""

    first: str
    told: int = 0
    handed: int = 0
    reason: str = ""
    story: tuple[Attempt, ...] = ()


DECODER = msgspec.json.Decoder(Note)


class Notes:
    """One note per consumer and message, in a key-value bucket; all raise BusUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bucket: KeyValue | None = None

    async def read(self, origin: Origin) -> Note | None:
        """What earlier deliveries left."""
        with unavailable():
            try:
                return DECODER.decode(
                    (await (await self._kv()).get(f"{origin.consumer}.{origin.sequence}")).value or b""
                )
            except KeyNotFoundError:
                return None

    async def add(
        self, origin: Origin, *, told: int = 0, handed: int = 0, reason: str = "", failure: Attempt | None = None
    ) -> Note:
        """Count one more delivery; the time of the first is kept."""
        old = await self.read(origin) or Note(datetime.now(UTC).isoformat())
        story = tuple(continued(old.story, failure))
        note = Note(old.first, old.told + told, old.handed + handed, reason or old.reason, story)
        with unavailable():
            await (await self._kv()).put(f"{origin.consumer}.{origin.sequence}", msgspec.json.encode(note))
        return note

    async def _kv(self) -> KeyValue:
        if not self._connection.client.is_connected:
            raise BusUnavailable("NATS is disconnected")
        if self._bucket is None:
            self._bucket = await self._connection.client.jetstream(timeout=2).key_value(BUCKET)
        return self._bucket
