"""The bus port on NATS: core for what is told, JetStream for what is kept."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error, NoRespondersError
from nats.js.errors import NotFoundError

from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.messaging.nats.connection import PENDING_MESSAGES, Connection
from penstock_common.messaging.nats.failures import unavailable
from penstock_common.messaging.nats.notes import Notes
from penstock_common.messaging.nats.origin import incoming
from penstock_common.messaging.nats.poison import PoisonWatch
from penstock_common.messaging.nats.pull import SlotPull
from penstock_common.messaging.nats.settler import NatsSettler
from penstock_common.messaging.ports import Bound, Deliver, Front, Incoming, Outgoing, Receive, Settler, Subscription
from penstock_common.messaging.topology import ACK_WAIT, Consumer, Topic, Topology
from penstock_common.tracing.messages import answering, asking, sending

if TYPE_CHECKING:
    from penstock_common.messaging.delivery import Delivery

log = structlog.get_logger()

Answer = Callable[[bytes], Awaitable[bytes | None]]


class NatsBus:
    """One process's connection to NATS."""

    def __init__(self, url: str, name: str) -> None:
        self.connection = Connection(url, name)
        self._notes = Notes(self.connection)
        self.settler: Settler = NatsSettler(self.connection, self._notes)
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether the connection is up now."""
        return self.connection.client.is_connected

    async def connect(self) -> None:
        """Connect; keeps reconnecting by itself afterwards. Raises BusUnavailable if it can't be reached now."""
        await self.connection.open()

    async def close(self) -> None:
        """Flush what was sent, and disconnect."""
        await self.connection.close()

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Store durably; returns once JetStream acknowledged. Raises BusUnavailable, MessageTooLarge."""
        with sending(message) as leaving:
            await self.connection.publish(leaving, timeout)

    def send(self, process: str, key: str, body: bytes) -> None:
        """Best effort, in order, to a process's inbox. Raises BusUnavailable if surely lost."""
        self.connection.post(f"stream.{process}.{key}", body)

    async def receive(self, process: str, receive: Receive) -> Subscription:
        """Open this process's inbox."""
        prefix = len(f"stream.{process}.")

        async def on(msg: Msg) -> None:
            receive(msg.subject[prefix:], msg.data)

        return await self._subscribe(f"stream.{process}.*", on)

    async def query(self, topic: Topic, body: bytes, timeout: float) -> bytes:
        """Ask the first process that answers. Raises NoAnswer after `timeout` seconds, at once if nobody listens."""
        if not self.connected:
            raise BusUnavailable("NATS is disconnected")
        try:
            with asking(topic) as headers:
                request = self.connection.client.request
                return (await request(topic.subject, body, timeout, headers=dict(headers) or None)).data
        except NoRespondersError as error:
            raise NoAnswer(f"nobody listens for {topic.subject}") from error
        except TimeoutError as error:
            raise NoAnswer(f"{topic.subject}: no answer within {timeout} s") from error
        except (Error, OSError) as error:
            raise BusUnavailable(f"NATS: {error}") from error

    async def answer(self, topic: Topic, answer: Answer, *, everyone: bool = False) -> Subscription:
        """Answer queries, many at once: one process of the owner each, or with `everyone` all hear it."""

        async def on(msg: Msg) -> None:
            task = asyncio.create_task(self._answer(topic, msg, answer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        return await self._subscribe(topic.subject, on, queue="" if everyone else topic.owner)

    async def _answer(self, topic: Topic, msg: Msg, answer: Answer) -> None:
        try:
            with answering(topic, msg.headers):
                if (body := await answer(msg.data)) is not None:
                    self.connection.post(msg.reply, body)
        except Exception as error:  # silence is an answer that the asking side bounds by time
            log.exception("query.unanswered", subject=msg.subject, reason=repr(error))

    async def broadcast(self, topic: Topic, body: bytes) -> None:
        """Tell every process that listens now; nothing is stored."""
        self.connection.post(topic.subject, body)

    async def listen(self, topic: Topic, listener: Callable[[bytes], Awaitable[None]]) -> Subscription:
        """Hear every message of a topic published from now on, stored or not, in this process too."""

        async def on(msg: Msg) -> None:
            try:
                await listener(msg.data)
            except Exception as error:  # one message must not end the subscription
                log.exception("broadcast.failed", subject=msg.subject, reason=repr(error))

        return await self._subscribe(topic.subject, on)

    async def missing(self, lanes: Sequence[Consumer]) -> list[str]:
        """The names of lanes that don't exist on the server. Raises BusUnavailable."""
        manager = self.connection.client.jetstream(timeout=2)
        absent = []
        for lane in lanes:
            with unavailable():
                try:
                    await manager.consumer_info(lane.topic.stream, lane.name)
                except NotFoundError:
                    absent.append(lane.name)
        return absent

    async def guard(self, topology: Topology) -> Subscription:
        """Bury what JetStream stopped delivering, told by its advisories."""
        watch = PoisonWatch(self.connection, self._notes, topology)
        await watch.start()
        return watch

    def front(self, bounds: Sequence[Bound], delivery: "Delivery") -> Front:
        """FastStream for these lanes, on this connection."""
        from penstock_common.messaging.nats.faststream import front  # noqa: PLC0415 (only where it is used)

        return front(self, bounds, delivery)

    async def pull(self, lane: Consumer, deliver: Deliver) -> Subscription:
        """Receive a durable lane on the plain client, at most `lane.prefetch` deliveries at once."""
        pull = SlotPull(self.connection, lane.topic.stream, lane.name, lane.prefetch)

        async def take(msg: Msg) -> None:
            await deliver(self._incoming(msg))

        async def refuse(msg: Msg) -> None:
            await self.settler.hand_back(self._incoming(msg))

        await pull.start(take, refuse)
        return pull

    def _incoming(self, msg: Msg) -> Incoming:
        return incoming(msg, self.connection.pulse.since + ACK_WAIT)

    async def _subscribe(self, subject: str, on: Callable[[Msg], Awaitable[None]], queue: str = "") -> Subscription:
        with unavailable():
            subscription = await self.connection.client.subscribe(
                subject, queue, cb=on, pending_msgs_limit=PENDING_MESSAGES
            )
            await self.connection.client.flush(timeout=2)  # from now on the server knows of it
        return _Plain(subscription)


class _Plain:
    """A core subscription."""

    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        """Receive no more."""
        with unavailable():
            await self._subscription.unsubscribe()
