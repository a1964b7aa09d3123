"""Publishing: confirmed and stored, or at once and best effort."""

import asyncio

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from penstock_common.errors import BusUnavailable, MessageTooLarge
from penstock_common.messaging.rabbit.held import Held
from penstock_common.messaging.rabbit.link import Link, unavailable
from penstock_common.messaging.rabbit.wire import Properties

MAX_BODY = 8 << 20
"""Bytes, as on NATS: a server that refuses one message closes the channel, and all others on it fail."""


async def nothing(_: Channel) -> None:
    """A channel for publishing needs no setup."""


def checked(held: Held, body: bytes) -> Channel:
    """The channel to publish on. Raises BusUnavailable, MessageTooLarge."""
    if len(body) > MAX_BODY:
        raise MessageTooLarge(f"{len(body)} bytes, {MAX_BODY} at most")
    channel = held.channel
    if channel is None or channel.is_closed or not held.link.connected:
        raise BusUnavailable("RabbitMQ is disconnected")
    return channel


async def confirmed(
    channel: Channel, body: bytes, exchange: str, key: str, properties: Properties, **how: bool
) -> None:
    """Publish, and wait for the server's word. It is waited for even where the caller waits no more.

    A channel dies of the word on a publish that was cancelled, and all others on it fail.
    """
    publishing = asyncio.ensure_future(
        channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties, wait=False, **how)
    )
    publishing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(publishing)


def explained(error: BusUnavailable, key: str) -> BusUnavailable:
    """What to do about a message that the server refused."""
    match error.__cause__:
        case PublishError() | ChannelNotFoundEntity():
            return BusUnavailable(f"no queue takes {key}: run `penstock topology apply`")
        case DeliveryError():
            return BusUnavailable(f"a queue of {key} is full")
    return error


class Publisher(Held):
    """Returns once a quorum has flushed the message; many publishes share the channel at once."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "publisher", nothing, confirms=True)

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: Properties, timeout: float, *, routed: bool = True
    ) -> None:
        """Raises MessageTooLarge; BusUnavailable, also for a full queue, and where `routed` but no queue takes it."""
        channel = checked(self, body)
        try:
            async with unavailable(timeout):
                await confirmed(channel, body, exchange, key, properties, mandatory=routed)
        except BusUnavailable as error:
            raise explained(error, key) from error.__cause__


class Sender(Held):
    """Hands messages to the socket in the order of the calls, without waiting and without a confirm."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "sender", nothing)

    def send(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """Raises MessageTooLarge; BusUnavailable while disconnected, and where too much waits for the socket."""
        channel = checked(self, body)
        size = channel.max_content_size
        frames: list[spec.Basic.Publish | ContentHeader | ContentBody] = [
            spec.Basic.Publish(exchange=exchange, routing_key=key),
            ContentHeader(properties=properties, body_size=len(body)),
            *(ContentBody(body[i : i + size]) for i in range(0, len(body), size)),
        ]
        # With a future to resolve, the writer waits for the socket: what the broker doesn't read stays countable.
        drained = asyncio.get_running_loop().create_future()
        try:
            channel.write_queue.put_nowait(ChannelFrame.marshall(channel.number, frames, drained))
        except asyncio.QueueFull:
            raise BusUnavailable("the broker does not keep up") from None
