"""One nats-py client: how it connects, and how messages leave it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from nats.errors import Error, SlowConsumerError

from penstock_common.errors import BusUnavailable, MessageTooLarge, PenstockError
from penstock_common.messaging import metrics
from penstock_common.messaging.nats.client import LeanClient, Raw
from penstock_common.messaging.nats.expected import Answers, Expected
from penstock_common.messaging.nats.protocol import command, head_of
from penstock_common.messaging.nats.pulse import Pulse
from penstock_common.messaging.ports import Outgoing

log = structlog.get_logger()

CONNECT_TIMEOUT = 3.0  # seconds
PENDING_BYTES = 64 << 20  # towards the server; more than that waiting means it doesn't keep up
PENDING_MESSAGES = 1 << 19  # per subscription, from the server

OPTIONS: dict[str, Any] = {
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.25,
    "connect_timeout": 2,
    "ping_interval": 5,
    "max_outstanding_pings": 2,
    # nats-py would wait when its buffer is full; `post` refuses at half of this, so that order holds
    "pending_size": 2 * PENDING_BYTES,
}


class Refusal(msgspec.Struct, frozen=True):
    """Why JetStream did not store a message."""

    description: str = "refused"


class Acknowledgement(msgspec.Struct, frozen=True):
    """JetStream's answer to a publish."""

    error: Refusal | None = None


ACKNOWLEDGEMENT = msgspec.json.Decoder(Acknowledgement)


class Connection:
    """A client that reconnects for ever, one inbox for all acknowledgements, and the process's pulse."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.client = LeanClient()
        self.pulse = Pulse()
        self.on_reconnect: set[Callable[[], Awaitable[None]]] = set()
        self._answers = Answers()
        self._inbox = ""
        self._closing = False

    async def open(self) -> None:
        """Connect. Raises BusUnavailable if the server can't be reached now."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self.client.connect(
                    self.url,
                    name=self.name,
                    error_cb=self._failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    **OPTIONS,
                )
        except (OSError, TimeoutError, Error) as error:
            await self.client.close()
            self.client = LeanClient()
            raise BusUnavailable(f"NATS can't be reached: {error or type(error).__name__}") from error
        self._inbox = self.client.new_inbox()
        await self.client.take(f"{self._inbox}.*", self._acknowledged)
        self.pulse.start()

    async def close(self) -> None:
        """Flush and disconnect."""
        self._closing = True
        self.pulse.stop()
        if self.client.is_connected:
            try:
                await self.client.flush(timeout=2)
            except (Error, OSError) as error:
                log.warning("bus.unflushed", reason=repr(error))
        if self._inbox:  # a client that never connected can't be closed
            await self.client.close()

    def post(self, subject: str, body: bytes, reply: str = "", head: bytes = b"", *, hold: bool = False) -> None:
        """Put a message into the client's buffer before returning, so that order holds.

        While disconnected only a message to `hold` is kept, until the server is back; any other raises BusUnavailable.
        Raises MessageTooLarge.
        """
        if len(head) + len(body) > self.client.max_payload:
            raise MessageTooLarge(f"{len(body)} bytes")
        self.put(command(subject, reply, head, body), hold=hold)

    def put(self, commands: bytes, *, hold: bool = False) -> None:
        """Put whole commands into the client's buffer, as `post` does."""
        client = self.client
        if not client.is_connected and (not hold or client.is_closed):
            raise BusUnavailable("NATS is disconnected")
        if client.pending_data_size + len(commands) > PENDING_BYTES:
            raise BusUnavailable("NATS doesn't take what is sent fast enough")
        client.put(commands)

    async def publish(self, message: Outgoing, timeout: float) -> None:
        """Store in a stream, once per message id within the stream's duplicate window. Raises BusUnavailable."""
        (error,) = await self.publish_all([message], timeout)
        if error:
            raise error

    async def publish_all(self, messages: Sequence[Outgoing], timeout: float) -> Sequence[PenstockError | None]:
        """Store several; gives, for each, why it was not stored within `timeout` seconds."""
        if not messages:
            return ()
        expected = Expected(len(messages))
        keys = [self._begin(message, expected, place) for place, message in enumerate(messages)]
        late = f"no acknowledgement within {timeout} s"
        timer = asyncio.get_running_loop().call_later(timeout, self._answers.give_up, keys, late)
        try:
            return await expected.wait()
        finally:
            timer.cancel()
            self._answers.forget(keys)

    def _begin(self, message: Outgoing, expected: Expected, place: int) -> str:
        key = self._answers.expect(expected, place)
        own = {"Nats-Msg-Id": message.message_id, "Nats-Expected-Stream": message.stream}
        try:
            self.post(message.subject, message.body, f"{self._inbox}.{key}", head_of({**message.headers, **own}))
        except PenstockError as error:
            self._answers.tell(key, error)
        return key

    def _acknowledged(self, raw: Raw) -> None:
        error: str | None
        if not raw.body:  # NATS's "no responders": no stream takes this subject
            error = "no stream stores this subject: run `penstock topology apply`"
        else:
            refusal = ACKNOWLEDGEMENT.decode(raw.body).error
            error = f"JetStream refused: {refusal.description}" if refusal else None
        self._answers.tell(raw.subject.rpartition(".")[2], BusUnavailable(error) if error else None)

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("bus.disconnected", bus="nats")
        self._answers.give_up_all("disconnected before the acknowledgement")

    async def _reconnected(self) -> None:
        metrics.RECONNECTS.labels("nats").inc()
        log.info("bus.reconnected", bus="nats")
        for callback in tuple(self.on_reconnect):
            try:
                await callback()
            except (Error, OSError) as error:  # must not end nats-py's own reconnecting
                log.warning("bus.reconnect_failed", reason=repr(error))

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            log.error("bus.messages_dropped", subject=error.subject, reason="this process is too slow")
        else:
            log.debug("bus.error", reason=repr(error))
