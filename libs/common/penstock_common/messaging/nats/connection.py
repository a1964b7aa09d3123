"""One nats-py client: how it connects, and how messages leave it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, MaxPayloadError, SlowConsumerError

from penstock_common.errors import BusUnavailable, MessageTooLarge
from penstock_common.messaging import metrics
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
        self.client = Client()
        self.pulse = Pulse()
        self.on_reconnect: set[Callable[[], Awaitable[None]]] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._numbers = itertools.count()
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
            self.client = Client()
            raise BusUnavailable(f"NATS can't be reached: {error or type(error).__name__}") from error
        self._inbox = self.client.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._acknowledged, pending_msgs_limit=PENDING_MESSAGES)
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
        await self.client.close()

    def post(
        self,
        subject: str,
        body: bytes,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        hold: bool = False,
    ) -> None:
        """Put a message into the client's buffer before returning, so that order holds.

        While disconnected only a message to `hold` is kept, until the server is back; any other raises BusUnavailable.
        """
        if not (hold or self.client.is_connected):
            raise BusUnavailable("NATS is disconnected")
        if self.client.pending_data_size + len(body) > PENDING_BYTES:
            raise BusUnavailable("NATS doesn't take what is sent fast enough")
        publishing = self.client.publish(subject, body, reply, dict(headers) if headers else None)
        try:
            publishing.send(None)  # below its buffer's limit nats-py never waits: this runs it to its end
        except StopIteration:
            return
        except MaxPayloadError as error:
            raise MessageTooLarge(f"{len(body)} bytes") from error
        except (Error, OSError) as error:
            raise BusUnavailable(f"NATS: {error}") from error
        publishing.close()
        raise BusUnavailable("NATS's buffer is full")

    async def publish(self, message: Outgoing, timeout: float) -> None:
        """Store in a stream, once per message id within the stream's duplicate window. Raises BusUnavailable."""
        key = str(next(self._numbers))
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        headers = {**message.headers, "Nats-Msg-Id": message.message_id, "Nats-Expected-Stream": message.stream}
        try:
            self.post(message.subject, message.body, f"{self._inbox}.{key}", headers)
            async with asyncio.timeout(timeout):
                await answer
        except TimeoutError as error:
            raise BusUnavailable(f"no acknowledgement within {timeout} s") from error
        finally:
            del self._waiting[key]

    async def _acknowledged(self, msg: Msg) -> None:
        answer = self._waiting.get(msg.subject.rpartition(".")[2])
        if answer is None or answer.done():
            return
        if not msg.data:  # NATS's "no responders": no stream takes this subject
            answer.set_exception(BusUnavailable("no stream stores this subject: run `penstock topology apply`"))
        elif error := ACKNOWLEDGEMENT.decode(msg.data).error:
            answer.set_exception(BusUnavailable(f"JetStream refused: {error.description}"))
        else:
            answer.set_result(None)

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("bus.disconnected", bus="nats")
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BusUnavailable("disconnected before the acknowledgement"))

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
