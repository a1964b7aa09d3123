"""What is stored nowhere: inboxes, broadcasts, queries. Queues live as long as their process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

import structlog
from aiormq.abc import ConsumerCallback, DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import PublishError

from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.packs import unpacking
from penstock_common.messaging.ports import Receive
from penstock_common.messaging.rabbit.held import Held
from penstock_common.messaging.rabbit.link import Link, unavailable
from penstock_common.messaging.rabbit.publishing import Letter, Sender, checked, post
from penstock_common.messaging.rabbit.wire import EVENTS, INBOXES, QUERIES, TRANSIENT, Properties, headers_of
from penstock_common.messaging.topology import Topic
from penstock_common.tracing.messages import answering as in_trace

log = structlog.get_logger()

Answer = Callable[[bytes], Awaitable[bytes | None]]
Listen = Callable[[bytes], Awaitable[None]]

BACKLOG = 65_536  # messages heard but not yet listened to
INBOX_BYTES = 256 << 20  # what waits on the server for a process that does not read; then the oldest goes
REPLIES = "amq.rabbitmq.reply-to"
UNUSED = 600_000  # milliseconds after which a query queue without processes is deleted


def mailbox(link: Link, exchange: str, key: str, on_message: ConsumerCallback) -> Held:
    """A queue of this connection alone. Its name is new each time: the server may still hold the lost one."""

    async def setup(channel: Channel) -> None:
        name = f"{key}.{uuid4().hex[:12]}"
        await channel.queue_declare(
            name, exclusive=True, auto_delete=True, arguments={"x-max-length-bytes": INBOX_BYTES}
        )
        await channel.queue_bind(name, exchange, key)
        await channel.basic_consume(name, on_message, no_ack=True)

    return Held(link, key, setup)


def inbox_key(process: str) -> str:
    """The routing key of a process's inbox."""
    return f"stream.{process}"


def inbox(link: Link, process: str, receive: Receive) -> Held:
    """Calls `receive` with key and body, in the order of arrival."""
    take = unpacking(receive)

    async def on_message(message: DeliveredMessage) -> None:
        take(message.body)

    return mailbox(link, INBOXES, inbox_key(process), on_message)


class Listening:
    """Hears a topic, one message after the other."""

    def __init__(self, link: Link, topic: Topic, listener: Listen) -> None:
        self._topic, self._listener = topic, listener
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(BACKLOG)
        self._held = mailbox(link, EVENTS, topic.subject, self._on_message)

    async def start(self) -> None:
        """Listen from now on."""
        await self._held.start()
        self._task = asyncio.create_task(self._run(), name=f"listen {self._topic.subject}")

    async def stop(self) -> None:
        """Hear no more."""
        await self._held.stop()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _on_message(self, message: DeliveredMessage) -> None:
        try:
            self._heard.put_nowait(message.body)
        except asyncio.QueueFull:
            log.error("broadcast.dropped", subject=self._topic.subject)

    async def _run(self) -> None:
        while True:
            body = await self._heard.get()
            try:
                await self._listener(body)
            except Exception:
                log.exception("broadcast.failed", subject=self._topic.subject)


class Asker(Held):
    """Asks queries over RabbitMQ's direct reply-to: no reply queue exists."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "queries", self._listen, confirms=True)
        self._waiting: dict[str, asyncio.Future[bytes]] = {}

    async def ask(self, topic: Topic, body: bytes, timeout: float, headers: Mapping[str, str]) -> bytes:
        """The first answer. Raises NoAnswer after `timeout` seconds, or at once where nobody answers the topic."""
        question = uuid4().hex
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[question] = answered
        properties = Properties(
            reply_to=REPLIES,
            message_id=question,
            correlation_id=question,
            headers=dict(headers),
            delivery_mode=TRANSIENT,
            expiration=str(max(1, round(timeout * 1000))),
        )
        try:
            async with unavailable(timeout):
                await self._publish(topic.subject, body, properties)
                return await answered
        except BusUnavailable as error:
            match error.__cause__:
                case PublishError():
                    raise NoAnswer(f"nobody listens for {topic.subject}") from error
                case TimeoutError():
                    raise NoAnswer(f"{topic.subject}: no answer within {timeout} s") from error
            raise
        finally:
            del self._waiting[question]

    async def _publish(self, key: str, body: bytes, properties: Properties) -> None:
        await asyncio.shield(post(checked(self, len(body)), Letter(QUERIES, key, body, properties)))

    async def _listen(self, channel: Channel) -> None:
        await channel.basic_consume(REPLIES, self._on_reply, no_ack=True)

    async def _on_reply(self, message: DeliveredMessage) -> None:
        answered = self._waiting.get(message.header.properties.correlation_id or "")
        if answered and not answered.done():
            answered.set_result(message.body)


def answering(link: Link, sender: Sender, topic: Topic, answer: Answer, *, everyone: bool) -> Held:
    """Answers a topic's queries: each one here only, or in every process that answers `everyone`."""

    async def on_message(message: DeliveredMessage) -> None:
        question = message.header.properties
        try:
            with in_trace(topic, headers_of(question)):
                reply = await answer(message.body)
            if reply is not None and question.reply_to:
                sender.send("", question.reply_to, reply, Properties(correlation_id=question.correlation_id))
        except Exception as error:
            log.warning("query.failed", subject=topic.subject, reason=describe(error))

    async def setup(channel: Channel) -> None:
        # Durable only because newer servers refuse shared queues that are not; messages in it are transient.
        await channel.queue_declare(topic.subject, durable=True, auto_delete=True, arguments={"x-expires": UNUSED})
        await channel.queue_bind(topic.subject, QUERIES, topic.subject)
        await channel.basic_consume(topic.subject, on_message, no_ack=True)

    if everyone:
        return mailbox(link, QUERIES, topic.subject, on_message)
    return Held(link, topic.subject, setup)
