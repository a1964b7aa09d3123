"""The bus port on NATS: core for what is told, JetStream for what is kept."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error, NoRespondersError
from nats.js.errors import NotFoundError

from penstock_common.errors import BusUnavailable, MessageTooLarge, NoAnswer, PenstockError
from penstock_common.messaging.nats.client import Raw
from penstock_common.messaging.nats.connection import PENDING_BYTES, PENDING_MESSAGES, Connection
from penstock_common.messaging.nats.copies import Copies
from penstock_common.messaging.nats.failures import unavailable
from penstock_common.messaging.nats.notes import Notes
from penstock_common.messaging.nats.origin import incoming
from penstock_common.messaging.nats.poison import PoisonWatch
from penstock_common.messaging.nats.protocol import headers_of
from penstock_common.messaging.nats.pull import SlotPull
from penstock_common.messaging.nats.settler import NatsSettler
from penstock_common.messaging.packs import Packs, packed_size, unpacking
from penstock_common.messaging.ports import (
    Bound,
    Deliver,
    Front,
    Outgoing,
    Receive,
    Settler,
    Subscription,
    Take,
)
from penstock_common.messaging.tasks import in_tasks
from penstock_common.messaging.topology import ACK_WAIT, Consumer, Topic, Topology
from penstock_common.tracing.messages import answering, asking, sending

if TYPE_CHECKING:
    from penstock_common.messaging.delivery import Delivery

log = structlog.get_logger()

SPARE = 1 << 20  # bytes: what packs take besides what they carry, and what else leaves in the same turn
Answer = Callable[[bytes], Awaitable[bytes | None]]


class NatsBus:
    """One process's connection to NATS."""

    def __init__(self, url: str, name: str) -> None:
        self.connection = Connection(url, name)
        self._notes, self._copies = Notes(self.connection), Copies(self.connection)
        self.settler: Settler = NatsSettler(self.connection, self._notes)
        self._packs = Packs(lambda process, pack: self.connection.post(inbox(process), pack, hold=True))
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether the connection is up now."""
        return self.connection.client.is_connected

    async def connect(self) -> None:
        """Connect; keeps reconnecting by itself afterwards. Raises BusUnavailable if it can't be reached now."""
        await self.connection.open()

    async def close(self) -> None:
        """Flush what was sent, and disconnect."""
        self._packs.flush()
        await self.connection.close()

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Store durably; returns once JetStream acknowledged. Raises BusUnavailable, MessageTooLarge."""
        with sending(message) as leaving:
            await self.connection.publish(leaving, timeout)

    async def publish_all(self, messages: Sequence[Outgoing], timeout: float = 2.0) -> Sequence[PenstockError | None]:
        """Store several; gives, for each, why JetStream did not acknowledge it."""
        with contextlib.ExitStack() as spans:
            leaving = [spans.enter_context(sending(message)) for message in messages]
            return await self.connection.publish_all(leaving, timeout)

    def send(self, process: str, key: str, body: bytes) -> None:
        """Best effort, in order, to a process's inbox. Raises BusUnavailable if surely lost, MessageTooLarge."""
        client = self.connection.client
        if not client.is_connected:
            raise BusUnavailable("NATS is disconnected")
        size = packed_size(key, body)
        if size > client.max_payload:
            raise MessageTooLarge(f"{len(body)} bytes")
        if client.pending_data_size + self._packs.size + size > PENDING_BYTES - SPARE:
            raise BusUnavailable("NATS doesn't take what is sent fast enough")
        self._packs.add(process, key, body)

    async def receive(self, process: str, receive: Receive) -> Subscription:
        """Open this process's inbox."""
        take = unpacking(receive)
        return await self._take(inbox(process), lambda raw: take(raw.body))

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

        def take(raw: Raw) -> None:
            self._spawn(self._answer(topic, raw, answer))

        return await self._take(topic.subject, take, queue="" if everyone else topic.owner)

    async def _answer(self, topic: Topic, raw: Raw, answer: Answer) -> None:
        try:
            with answering(topic, headers_of(raw.head)):
                if (body := await answer(raw.body)) is not None:
                    self.connection.post(raw.reply, body)
        except Exception as error:  # silence is an answer that the asking side bounds by time
            log.exception("query.unanswered", subject=raw.subject, reason=repr(error))

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

        with unavailable():
            subscribe = self.connection.client.subscribe
            subscription = await subscribe(topic.subject, cb=on, pending_msgs_limit=PENDING_MESSAGES)
        return await self._known(subscription)

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

    async def forget(self, lanes: Sequence[Consumer]) -> None:
        """Remove from their stream what all its lanes had settled at the call before. Raises BusUnavailable."""
        await self._copies.drop(lanes)

    def front(self, bounds: Sequence[Bound], delivery: "Delivery") -> Front:
        """FastStream for these lanes, on this connection."""
        from penstock_common.messaging.nats.faststream import front  # noqa: PLC0415 (only where it is used)

        return front(self, bounds, delivery)

    async def pull(self, lane: Consumer, deliver: Deliver) -> Subscription:
        """Receive a durable lane on the plain client, each delivery in a task, at most `lane.prefetch` at once."""
        return await self.take(lane, in_tasks(deliver))

    async def take(self, lane: Consumer, take: Take) -> Subscription:
        """The same, but without tasks."""
        connection = self.connection
        pull = SlotPull(connection, lane.topic.stream, lane.name, lane.prefetch)

        def begin(raw: Raw) -> None:
            take(incoming(raw, connection.pulse.since + ACK_WAIT), pull.free)

        def refuse(raw: Raw) -> None:
            self._spawn(self.settler.hand_back(incoming(raw, connection.pulse.since + ACK_WAIT)))

        await pull.start(begin, refuse)
        return pull

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, subject: str, take: Callable[[Raw], None], queue: str = "") -> Subscription:
        with unavailable():
            subscription = await self.connection.client.take(subject, take, queue)
        return await self._known(subscription)

    async def _known(self, subscription: NatsSubscription) -> Subscription:
        """A subscription, once the server knows of it."""
        with unavailable():
            await self.connection.client.flush(timeout=2)
        return _Plain(subscription)


def inbox(process: str) -> str:
    """The subject of a process's inbox."""
    return f"stream.{process}"


class _Plain:
    """A core subscription."""

    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        """Receive no more."""
        with unavailable():
            await self._subscription.unsubscribe()
