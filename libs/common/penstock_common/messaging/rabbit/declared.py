"""The topology in RabbitMQ's own terms: every exchange and queue, with arguments that never change once declared."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiormq.abc import AbstractChannel

from penstock_common.messaging.rabbit.settler import LEVELS
from penstock_common.messaging.rabbit.wire import DEAD, EVENTS, INBOXES, QUERIES, level_name
from penstock_common.messaging.topology import DEAD_LETTERS, QUARANTINE, Consumer, Stream, Topology

EXCHANGES = {EVENTS: "topic", DEAD: "direct", QUERIES: "direct", INBOXES: "direct"}

# What a full queue refuses stays in its publisher's outbox. The server can promise to lose no dead letter only so.
QUORUM = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
LEVEL_BYTES = 1 << 30
UNLIMITED = 1_000_000  # deliveries: reading a dead letter and giving it back must not use it up
LEAST_LIMIT = 32


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"exchange {self.name}"

    async def declare(self, channel: AbstractChannel, *, passive: bool = False) -> None:
        """Create, or check. Raises ChannelNotFoundEntity, or ChannelPreconditionFailed where it differs."""
        await channel.exchange_declare(self.name, exchange_type=self.type, durable=True, passive=passive)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue, and where its messages come from."""

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...] = field(default=())
    """Pairs of exchange and routing key."""

    def __str__(self) -> str:
        return f"queue {self.name}"

    async def declare(self, channel: AbstractChannel, *, passive: bool = False) -> None:
        """Create and bind, or check. Raises ChannelNotFoundEntity, or ChannelPreconditionFailed where it differs."""
        await channel.queue_declare(self.name, durable=True, passive=passive, arguments=self.arguments)
        for exchange, key in () if passive else self.bindings:
            await channel.queue_bind(self.name, exchange, key)


Declared = Exchange | Queue


def declared(topology: Topology) -> Iterator[Declared]:
    """Everything in order of creation."""
    yield from (Exchange(name, type_) for name, type_ in EXCHANGES.items())
    for delay in sorted({*LEVELS, *topology.retry_delays}):
        yield Exchange(level_name(delay), "fanout")
        yield level(delay)
    streams = {s.name: s for s in (QUARANTINE, DEAD_LETTERS, *topology.streams)}
    for consumer in topology.rows:
        yield dead_letters(consumer)
    for lane in topology.lanes:
        if not lane.gathered:
            yield queue(lane, streams[lane.topic.stream])


def level(delay: float) -> Queue:
    """Where messages wait `delay` seconds at most, then go to the queue that their routing key names.

    Shared by all consumers. A shorter delay is the message's own expiration; only the head of the queue expires.
    """
    arguments = QUORUM | {
        "x-message-ttl": round(delay * 1000),
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-max-length-bytes": LEVEL_BYTES,
    }
    return Queue(level_name(delay), arguments, ((level_name(delay), ""),))


def dead_letters(consumer: Consumer) -> Queue:
    """Where a consumer's dead letters wait to be collected, or stay where nobody collects them."""
    arguments = QUORUM | {"x-delivery-limit": UNLIMITED, "x-max-length-bytes": DEAD_LETTERS.max_bytes}
    return Queue(consumer.dead_letters, arguments, ((DEAD, consumer.dead_letters),))


def queue(lane: Consumer, stream: Stream) -> Queue:
    """A lane's queue. What a dead lane gives up stays in the dead letters, of which it gets copies."""
    arguments = QUORUM | {
        "x-delivery-limit": delivery_limit(lane),
        "x-max-length-bytes": stream.max_bytes,
        "x-single-active-consumer": lane.ordered,
    }
    if lane.is_dead_lane:
        return Queue(lane.name, arguments, ((DEAD, lane.dead_letters),))
    # What the server gives up may be an innocent neighbour of a poison message: it is tried alone before it is buried.
    arguments |= {
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": lane.quarantine.topic.subject if lane.quarantine else lane.dead_letters,
        "x-dead-letter-strategy": "at-least-once",
    }
    if lane.is_main:
        return Queue(lane.name, arguments, ((EVENTS, lane.topic.subject), (EVENTS, lane.address)))
    return Queue(lane.name, arguments, ((DEAD, lane.topic.subject),))


def delivery_limit(lane: Consumer) -> int:
    """Deliveries without an ack after which the server itself buries: a last resort above the lane's own attempts.

    A power of two, because it can't be changed on an existing queue, and attempts may be tuned.
    """
    return int(max(LEAST_LIMIT, 1 << lane.server_limit.bit_length()))
