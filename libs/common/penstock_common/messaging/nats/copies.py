"""What every consumer of a stream has settled: JetStream keeps it until it is too old, or told to let go of it."""

from collections.abc import Sequence

from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from penstock_common.messaging.nats.connection import Connection
from penstock_common.messaging.nats.failures import unavailable
from penstock_common.messaging.topology import Consumer

TIMEOUT = 5.0  # seconds


class Copies:
    """Removes what was settled at the look before: in a cluster one server may not know yet what another stored."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settled: dict[str, int] = {}
        """By stream, the last of the settled sequences at the look before."""

    async def drop(self, lanes: Sequence[Consumer]) -> None:
        """Look at one stream, of which these are the lanes; nothing leaves it while one of them is missing.

        Consumers that others made there have to have settled it as well. Raises BusUnavailable.
        """
        stream, names = lanes[0].topic.stream, {lane.name for lane in lanes}
        jetstream = self._connection.client.jetstream(timeout=TIMEOUT)
        with unavailable():
            settled = await settled_of(jetstream, stream, names)
            before, self._settled[stream] = self._settled.get(stream, 0), settled
            if last := min(before, settled):  # a stream that lost its end on disk counts from there again
                await jetstream.purge_stream(stream, seq=last + 1)


async def settled_of(jetstream: JetStreamContext, stream: str, names: set[str]) -> int:
    """The sequence up to which all consumers settled everything; 0 where one of these names is not there."""
    try:
        last = (await jetstream.stream_info(stream)).state.last_seq
        consumers = await jetstream.consumers_info(stream)
    except NotFoundError:
        return 0
    if not names <= {consumer.name for consumer in consumers}:
        return 0
    return min(floor_of(consumer, last) for consumer in consumers)


def floor_of(consumer: ConsumerInfo, last: int) -> int:
    """Up to where one consumer settled what is for it; `last` was stored before it was asked."""
    if not (consumer.num_pending or consumer.num_ack_pending):
        return last
    return consumer.ack_floor.stream_seq if consumer.ack_floor else 0
