"""Publishing: confirmed and stored, or at once and best effort."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from penstock_common.errors import BusUnavailable, MessageTooLarge, PenstockError
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.rabbit.held import Held
from penstock_common.messaging.rabbit.link import Link
from penstock_common.messaging.rabbit.wire import Properties

MAX_BODY = 8 << 20
"""Bytes, as on NATS: a server that refuses one message closes the channel, and all others on it fail."""
TOO_SLOW = "the broker does not keep up"


async def nothing(_: Channel) -> None:
    """A channel for publishing needs no setup."""


def checked(held: Held, size: int) -> Channel:
    """The channel to publish so many bytes on. Raises BusUnavailable, MessageTooLarge."""
    if size > MAX_BODY:
        raise MessageTooLarge(f"{size} bytes, {MAX_BODY} at most")
    channel = held.channel
    if channel is None or channel.is_closed or not held.link.connected:
        raise BusUnavailable("RabbitMQ is disconnected")
    return channel


@dataclass(frozen=True, slots=True)
class Letter:
    """A message, and where it goes; `routed` means that a queue must take it."""

    exchange: str
    key: str
    body: bytes
    properties: Properties
    routed: bool = True


def post(channel: Channel, letter: Letter) -> "asyncio.Future[Any]":
    """Hand a message with an id to the socket; gives what will be the server's word. Raises BusUnavailable.

    aiormq's `basic_publish` waits for a lock and for the socket, and must run to its end in a task of its own, or the
    next confirm meets the wrong message. Nothing waits here. Not for a channel on which both are used. Nobody may
    cancel what this gives: the channel would die of the server's word on it.
    """
    word: asyncio.Future[Any] = channel.create_future()
    tag, id_ = channel.delivery_tag + 1, letter.properties.message_id
    put(channel, [*frames(channel, letter)])
    channel.delivery_tag, channel.confirmations[tag] = tag, word
    if id_ is not None and letter.routed:  # a message that comes back says only this of itself
        channel.message_id_delivery_tag[id_] = tag
        word.add_done_callback(partial(_forget, channel, id_, tag))
    return word


def _forget(channel: Channel, id_: str, tag: int, _: object) -> None:
    if channel.message_id_delivery_tag.get(id_) == tag:
        del channel.message_id_delivery_tag[id_]


def frames(channel: Channel, letter: Letter) -> Iterator[spec.Basic.Publish | ContentHeader | ContentBody]:
    """A message in pieces that the server takes."""
    size, body = channel.max_content_size, letter.body
    yield spec.Basic.Publish(exchange=letter.exchange, routing_key=letter.key, mandatory=letter.routed)
    yield ContentHeader(properties=letter.properties, body_size=len(body))
    for start in range(0, len(body), size):
        yield ContentBody(body[start : start + size])


def put(channel: Channel, pieces: Sequence[Any], drained: "asyncio.Future[None] | None" = None) -> None:
    """Queue frames for the socket, all or none. Raises BusUnavailable."""
    try:
        channel.write_queue.put_nowait(ChannelFrame.marshall(channel.number, pieces, drained))
    except asyncio.QueueFull:
        raise BusUnavailable(TOO_SLOW) from None


def refusal(word: "asyncio.Future[Any]", key: str) -> BusUnavailable | None:
    """Why the server did not store a message; None where it did."""
    if not word.done():
        return BusUnavailable("no confirmation in time")
    error = word.exception()
    if error is None:
        return None
    if isinstance(error, asyncio.CancelledError):
        return BusUnavailable("the connection was lost")
    return explained(error, key)


def explained(error: BaseException, key: str) -> BusUnavailable:
    """What to do about a message that the server refused."""
    match error:
        case PublishError() | ChannelNotFoundEntity():
            return BusUnavailable(f"no queue takes {key}: run `penstock topology apply`")
        case DeliveryError():
            return BusUnavailable(f"a queue of {key} is full")
    return BusUnavailable(describe(error))


class Publisher(Held):
    """Returns once a quorum has flushed the message; many publishes share the channel at once."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "publisher", nothing, confirms=True)

    async def publish(self, letter: Letter, timeout: float) -> None:
        """Raises MessageTooLarge; BusUnavailable, also for a full queue, and where `routed` but no queue takes it."""
        (error,) = await self.publish_all([letter], timeout)
        if error:
            raise error

    async def publish_all(self, letters: Sequence[Letter], timeout: float) -> Sequence[PenstockError | None]:
        """Gives, for each, why it was not stored within `timeout` seconds."""
        begun = [self._begin(letter) for letter in letters]
        if words := [word for word in begun if isinstance(word, asyncio.Future)]:
            await asyncio.wait(words, timeout=timeout)
        return [
            refusal(word, letter.key) if isinstance(word, asyncio.Future) else word
            for letter, word in zip(letters, begun, strict=True)
        ]

    def _begin(self, letter: Letter) -> "asyncio.Future[Any] | PenstockError":
        try:
            return post(checked(self, len(letter.body)), letter)
        except PenstockError as error:
            return error


class Sender(Held):
    """Hands messages to the socket in the order of the calls, without waiting and without a confirm."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, "sender", nothing)

    def require_room(self, size: int) -> None:
        """For so many bytes. Raises MessageTooLarge, BusUnavailable, as `send` would."""
        if checked(self, size).write_queue.full():
            raise BusUnavailable(TOO_SLOW)

    def send(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """Raises MessageTooLarge; BusUnavailable while disconnected, and where too much waits for the socket."""
        channel = checked(self, len(body))
        # With a future to resolve, the writer waits for the socket: what the broker doesn't read stays countable.
        drained = asyncio.get_running_loop().create_future()
        put(channel, [*frames(channel, Letter(exchange, key, body, properties, routed=False))], drained)
