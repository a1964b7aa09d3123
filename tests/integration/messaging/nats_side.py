"""The suite on NATS."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence

import nats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from penstock.platform.nats import NatsServer
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.nats.declared import declared
from penstock_common.messaging.topology import DEAD_LETTERS, Consumer, Topology
from tests.support.servers import nats_server


class NatsSide:
    """JetStream, looked at from outside."""

    deliveries_of_a_repeat = 1
    frozen_within = 7.5

    def __init__(self) -> None:
        self.server = nats_server()

    @contextlib.asynccontextmanager
    async def jetstream(self) -> AsyncIterator[JetStreamContext]:
        """A short connection, so that the server may be killed between two looks."""
        client = await nats.connect(self.server.url, allow_reconnect=False)
        try:
            yield client.jetstream()
        finally:
            await client.close()

    async def wipe(self, topology: Topology) -> None:
        """Delete all streams, and their consumers with them."""
        async with self.jetstream() as js:
            for stream in {thing.stream for thing in declared(topology, 1)}:
                with contextlib.suppress(NotFoundError):
                    await js.delete_stream(stream)

    async def lose(self) -> None:
        """The store is deleted while the server is down."""
        assert isinstance(self.server.kind, NatsServer)
        await asyncio.to_thread(self.server.kill)
        shutil.rmtree(self.server.kind.home / "jetstream")
        await asyncio.to_thread(self.server.start)

    async def letters(self, consumer: Consumer) -> Sequence[DeadLetter]:
        """Read by sequence, without a consumer."""
        async with self.jetstream() as js:
            state = (await js.stream_info(DEAD_LETTERS.name)).state
            stored = [await js.get_msg(DEAD_LETTERS.name, n) for n in range(state.first_seq, state.last_seq + 1)]
        own = [raw for raw in stored if raw.subject == consumer.dead_letters]
        return [
            DeadLetter.parse({n.lower(): v for n, v in (raw.headers or {}).items()}, raw.data or b"") for raw in own
        ]

    async def remove(self, consumer: Consumer) -> None:
        """Delete the durable."""
        async with self.jetstream() as js:
            await js.delete_consumer(consumer.topic.stream, consumer.name)

    async def unsettled(self, consumer: Consumer) -> int:
        """Pending and unacknowledged."""
        async with self.jetstream() as js:
            info = await js.consumer_info(consumer.topic.stream, consumer.name)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)
