"""Publishing: confirmed and stored, or at once and best effort."""

import asyncio

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.rabbit.held import Held
from penstock_common.messaging.rabbit.link import Link, unavailable
from penstock_common.messaging.rabbit.wire import Properties


async def nothing(_: Channel) -> None:
    """A channel for publishing needs no setup."""


class Publisher(Held):
    """Returns once a quorum has flushed the message; many publishes share the channel at once."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "publisher", nothing, confirms=True)

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: Properties, timeout: float, *, routed: bool = True
    ) -> None:
        """Raises BusUnavailable, also for a full queue, and where `routed` for a key that no queue is bound to."""
        channel = self.channel
        if channel is None or channel.is_closed or not self.link.connected:
            raise BusUnavailable("not connected")
        async with unavailable(timeout):
            await channel.basic_publish(
                body, exchange=exchange, routing_key=key, properties=properties, mandatory=routed, wait=False
            )


class Sender(Held):
    """Hands messages to the socket in the order of the calls, without waiting and without a confirm."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "sender", nothing)

    def send(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """Raises BusUnavailable while disconnected, and where too much waits for the socket."""
        channel = self.channel
        if channel is None or channel.is_closed or not self.link.connected:
            raise BusUnavailable("not connected")
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
