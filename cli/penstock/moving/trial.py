"""A bus tried out: something is made, filled, read and removed, under a name that only this trial has."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.deadletter import describe

CONNECT_SECONDS = 3
LARGEST_BODY = 8 << 20  # bytes
OLDEST = {"NATS": (2, 10), "RabbitMQ": (3, 10)}
"""NATS: consumers with several subjects; RabbitMQ: dead-lettering that loses nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """What a bus says of itself."""

    kind: str
    version: str
    largest: int
    """Bytes that one message may have."""

    @property
    def is_old(self) -> bool:
        """Whether it is older than what is needed."""
        numbers = [int(part) for part in self.version.partition("-")[0].split(".")[:2] if part.isdigit()]
        return tuple(numbers) < OLDEST[self.kind]


Elsewhere = Callable[[str], Awaitable[bool]]
"""Whether another bus has the thing of this name: then it is the same bus."""


async def try_out(url: str, elsewhere: Elsewhere) -> tuple[Server, bool]:
    """The server, and whether `elsewhere` is this very bus. Raises BusUnavailable with what can't be done on it."""
    name = f"penstock-trial-{uuid4().hex}"
    trial = _try_rabbitmq if is_rabbitmq(url) else _try_nats
    return await trial(url, name, elsewhere)


async def has(url: str, name: str) -> bool:
    """Whether a bus has what a trial of this name made. Raises BusUnavailable."""
    if not is_rabbitmq(url):
        from nats.js.errors import NotFoundError  # noqa: PLC0415 (only the client in use is loaded)

        async with _nats(url) as client:
            try:
                await client.jetstream(timeout=CONNECT_SECONDS).stream_info(name)
            except NotFoundError:
                return False
            return True
    from aiormq.exceptions import ChannelNotFoundEntity  # noqa: PLC0415 (as above)

    async with _rabbitmq(url) as channel:
        try:
            await channel.queue_declare(name, passive=True)
        except ChannelNotFoundEntity:
            return False
        return True


def is_rabbitmq(url: str) -> bool:
    """Whether a bus speaks AMQP."""
    return url.startswith("amqp")


async def _try_nats(url: str, name: str, elsewhere: Elsewhere) -> tuple[Server, bool]:
    from nats.js import api  # noqa: PLC0415 (only the client in use is loaded)

    async with _nats(url) as client:
        js = client.jetstream(timeout=CONNECT_SECONDS)
        await js.add_stream(api.StreamConfig(name=name, subjects=[name], max_bytes=1 << 16, max_age=600))
        try:
            await js.publish(name, b"trial", stream=name)
            await js.add_consumer(name, api.ConsumerConfig(durable_name=name, filter_subject=name))
            same = await elsewhere(name)
        finally:
            await js.delete_stream(name)
        return Server("NATS", str(client.connected_server_version), client.max_payload), same


async def _try_rabbitmq(url: str, name: str, elsewhere: Elsewhere) -> tuple[Server, bool]:
    from penstock_common.messaging.rabbit.publishing import MAX_BODY  # noqa: PLC0415 (as above)

    async with _rabbitmq(url) as channel:
        await channel.exchange_declare(name, exchange_type="topic", durable=True)
        try:
            await channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
            await channel.queue_bind(name, name, name)
            await channel.basic_publish(b"trial", exchange=name, routing_key=name, mandatory=True)
            await channel.basic_get(name, no_ack=True)
            same = await elsewhere(name)
        finally:
            await channel.queue_delete(name)
            await channel.exchange_delete(name)
        version = channel.connection.server_properties.get("version", b"")
        text = version.decode() if isinstance(version, bytes) else str(version)
        return Server("RabbitMQ", text, MAX_BODY), same


@asynccontextmanager
async def _nats(url: str) -> AsyncIterator[Any]:
    import nats  # noqa: PLC0415 (as above)
    from nats.errors import Error  # noqa: PLC0415 (as above)
    from nats.js.errors import APIError  # noqa: PLC0415 (as above)

    async def silent(_: Exception) -> None:
        """What fails is raised."""

    try:
        client = await nats.connect(
            url,
            name="penstock trial",
            connect_timeout=CONNECT_SECONDS,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.1,
            error_cb=silent,
        )
        try:
            yield client
        finally:
            await client.close()
    except APIError as error:
        raise BusUnavailable(f"JetStream: {error.description}") from error
    except (Error, OSError, TimeoutError) as error:
        raise BusUnavailable(describe(error)) from error


@asynccontextmanager
async def _rabbitmq(url: str) -> AsyncIterator[Any]:
    import aiormq  # noqa: PLC0415 (as above)

    from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, unavailable  # noqa: PLC0415 (as above)

    connection = aiormq.Connection(url)
    async with unavailable(OPEN_TIMEOUT):
        await connection.connect()
    try:
        async with unavailable(4 * OPEN_TIMEOUT):
            yield await connection.channel(publisher_confirms=True, on_return_raises=True)
    finally:
        await connection.close()
