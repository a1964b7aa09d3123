"""What may exist on a bus: topics, streams, consumers. Data only; adapters and documents are made from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from penstock_common.contracts.base import Contract, Wire

ACK_WAIT = 4.0  # seconds
ROOM = 20  # deliveries
ENDLESS = 1_000_000  # attempts: two months of the longest delays
BURIED = "dlq."
"""What the subject of a dead letter begins with."""
ONLY = "only."
"""What the subject of a message begins with that is for one consumer alone."""


class Kind(StrEnum):
    """What a message is for."""

    EVENT = "event"
    COMMAND = "command"
    QUERY = "query"
    BROADCAST = "broadcast"
    """Heard by every process that listens, stored nowhere. A stored topic may be listened to as well."""


class Runner(StrEnum):
    """Who calls the handler: FastStream, or the bus client alone where each microsecond counts."""

    FASTSTREAM = "faststream"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stored set of topics. `refuse_when_full` makes publishers fail (503) instead of dropping old messages."""

    name: str
    max_age: float  # seconds
    max_bytes: int
    refuse_when_full: bool = False


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of message: its contract, its address, its one owner."""

    subject: str
    contract: type[Contract]
    owner: str
    kind: Kind = Kind.EVENT
    stream: str = ""
    """The stream that stores it; empty for queries and broadcasts."""
    wire: Wire = Wire.JSON
    reply: type[Contract] | None = None
    """What a query is answered with, as JSON."""
    is_unhurried: bool = False
    """Whether nobody waits for it: relays let such messages gather for a moment."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to `size` messages, or what came within `within_ms` of the first."""

    size: int = 256
    within_ms: int = 20


@dataclass(frozen=True, slots=True)
class Consumer:
    """One durable subscription of one service, shared by its processes."""

    service: str
    handler: str
    topic: Topic
    concurrency: int = 8
    max_attempts: int = 8
    backoff: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)
    """Seconds before the next attempt, by attempt; the last one repeats. Jitter shortens each by up to a half."""
    ack_wait: float = ACK_WAIT
    """Seconds of silence after which NATS takes a delivery back."""
    runner: Runner = Runner.FASTSTREAM
    batch: Batch | None = None
    batches: int = 1
    """How many of a process's batches are at work at once: one is made ready while another waits for its database."""
    ordered: bool = False
    """One at a time in the whole cluster; a failing message holds up those behind it."""
    has_on_dead: bool = False
    """The service declares an `on_dead` handler, fed from this consumer's dead letters."""
    isolate_after: int = 2
    """Deaths of the process, without a word, before a message is moved to the quarantine lane."""
    quarantine_concurrency: int = 1
    has_inbox: bool = True
    """False where not the inbox but a record of the service's own tells what was handled."""
    base: str = ""
    """On a derived lane (quarantine, dead): the consumer it belongs to."""
    gathered: tuple[str, ...] = ()
    """On the lane that collects dead letters: where those of each consumer lie."""
    name: str = field(init=False, repr=False, compare=False)
    """Durable, queue and inbox name: `<service>-<handler>`; NATS forbids dots."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.service}-{self.handler.replace('_', '-')}")

    @property
    def inbox_name(self) -> str:
        """The name under which messages count as handled: the same on the main and the quarantine lane."""
        return self.base or self.name

    @property
    def address(self) -> str:
        """The subject that this lane alone takes, besides its topic's; derived lanes have none of their own."""
        return f"{ONLY}{self.name}"

    @property
    def dead_letters(self) -> str:
        """Where messages end that could not be handled."""
        return f"{BURIED}{self.base or self.name}"

    @property
    def queues(self) -> tuple[str, ...]:
        """RabbitMQ's queues that it receives."""
        return self.gathered or (self.name,)

    @property
    def is_main(self) -> bool:
        """False on lanes derived from another consumer, or from all."""
        return not (self.base or self.gathered)

    @property
    def is_dead_lane(self) -> bool:
        """True where the messages are dead letters already: they can't be buried once more."""
        return self.topic.stream == DEAD_LETTERS.name

    def delay(self, attempt: int) -> float:
        """Seconds to wait after a failed attempt, counted from 1, before jitter."""
        return self.backoff[min(attempt, len(self.backoff)) - 1]

    @property
    def quarantine(self) -> "Consumer | None":
        """The lane where suspects run apart from others; an ordered consumer needs none."""
        if self.ordered or self.base:
            return None
        topic = replace(self.topic, subject=f"quarantine.{self.name}", stream=QUARANTINE.name)
        return replace(
            self,
            handler=f"{self.handler}_quarantine",
            topic=topic,
            base=self.name,
            concurrency=self.quarantine_concurrency,
            ordered=self.quarantine_concurrency == 1,
            max_attempts=max(1, self.max_attempts - self.isolate_after),
            batch=None,
            has_on_dead=False,
        )

    @property
    def dead_lane(self) -> "Consumer | None":
        """The lane that tells the owner of a buried command."""
        if not self.has_on_dead or self.base:
            return None
        topic = replace(self.topic, subject=self.dead_letters, stream=DEAD_LETTERS.name)
        return Consumer(
            service=self.service,
            handler=f"{self.handler}_dead",
            topic=topic,
            base=self.name,
            concurrency=1,
            max_attempts=1000,
            backoff=(0.5, 1.0, 5.0),
            ordered=True,
            runner=Runner.PLAIN,
        )

    @property
    def server_limit(self) -> int:
        """Deliveries before the server gives up. Moving a suspect and handing back cost deliveries, not attempts."""
        return self.max_attempts + ROOM

    @property
    def max_in_flight(self) -> int:
        """Unacknowledged deliveries of all processes together."""
        if self.ordered:
            return 1
        if self.batch:
            return 16 * self.batch.size
        return self.concurrency if self.concurrency >= 256 else 16 * self.concurrency

    @property
    def prefetch(self) -> int:
        """Deliveries that one process holds at once."""
        return 4 * self.batch.size if self.batch else self.concurrency


DAY = 86_400.0
QUARANTINE = Stream("QUARANTINE", max_age=7 * DAY, max_bytes=1 << 28, refuse_when_full=True)
DEAD_LETTERS = Stream("DLQ", max_age=365 * DAY, max_bytes=1 << 30, refuse_when_full=True)


@dataclass(frozen=True)
class Topology:
    """Every topic and consumer of a platform, declared once."""

    streams: tuple[Stream, ...]
    topics: tuple[Topic, ...]
    consumers: tuple[Consumer, ...]
    rebuilt: Topic | None = None
    """The event by which the topology job tells every service that the bus lost what it kept."""
    collected_by: str = ""
    """The service that gathers every consumer's dead letters; empty where they stay on the bus."""
    _by_contract: dict[type[Contract], Topic] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        names = {s.name for s in self.streams}
        for topic in self.topics:
            if topic.contract in self._by_contract:
                raise ValueError(f"{topic.contract.__name__} is on two topics")
            if topic.stream and topic.stream not in names:
                raise ValueError(f"{topic.subject}: no stream {topic.stream}")
            self._by_contract[topic.contract] = topic

    def topic(self, contract: type[Contract]) -> Topic:
        """The topic that carries a contract. Raises KeyError."""
        return self._by_contract[contract]

    def of_subject(self, subject: str) -> Topic | None:
        """The topic of a subject, if there is one."""
        return next((topic for topic in self.topics if topic.subject == subject), None)

    def row(self, name: str) -> Consumer | None:
        """The consumer of this name, if there is one; lanes derived from others have names of their own."""
        return next((row for row in self.rows if row.name == name), None)

    def consumer(self, service: str, handler: str) -> Consumer:
        """The row of one handler. Raises KeyError for a handler that was not declared."""
        for consumer in self.consumers:
            if (consumer.service, consumer.handler) == (service, handler):
                return consumer
        raise KeyError(f"no consumer {handler} of {service} in the topology")

    def resized(self, service: str, handler: str, concurrency: int) -> "Topology":
        """The same with another concurrency of one handler, for the process that has it."""
        rows = tuple(
            replace(row, concurrency=concurrency) if (row.service, row.handler) == (service, handler) else row
            for row in self.consumers
        )
        return replace(self, consumers=rows)

    @cached_property
    def lanes(self) -> tuple[Consumer, ...]:
        """Every durable subscription: the declared consumers and what is derived from them."""
        return tuple(self._lanes())

    def _lanes(self) -> Iterator[Consumer]:
        for consumer in self.consumers:
            yield consumer
            yield from filter(None, (consumer.quarantine, consumer.dead_lane))
        yield from self.upkeep.values()
        if self.collector:
            yield self.collector

    @cached_property
    def collector(self) -> Consumer | None:
        """The lane of all dead letters; giving one up would lose it, so that there is no last attempt."""
        if not self.collected_by:
            return None
        return Consumer(
            self.collected_by,
            "collect_dead_letters",
            Topic(f"{BURIED}>", Contract, "platform", stream=DEAD_LETTERS.name),
            concurrency=1,
            max_attempts=ENDLESS,
            backoff=(0.5, 1.0, 5.0),
            runner=Runner.PLAIN,
            ordered=True,
            gathered=tuple(row.dead_letters for row in self.rows),
        )

    @cached_property
    def rows(self) -> tuple[Consumer, ...]:
        """Every consumer that is not derived from another: those declared, and one a service for upkeep."""
        return (*self.consumers, *self.upkeep.values())

    @cached_property
    def upkeep(self) -> Mapping[str, Consumer]:
        """By service, the lane on which it hears that the bus was rebuilt; no handler of its own is behind it."""
        if (topic := self.rebuilt) is None:
            return {}
        row = Consumer("", "on_bus_rebuilt", topic, max_attempts=1000, backoff=(0.5, 1.0, 2.0), runner=Runner.PLAIN)
        row = replace(row, concurrency=1, ordered=True)
        return {service: replace(row, service=service) for service in sorted({c.service for c in self.consumers})}

    @cached_property
    def retry_delays(self) -> tuple[float, ...]:
        """Every delay in use, in seconds: RabbitMQ's retry levels."""
        return tuple(sorted({d for lane in self.lanes for d in lane.backoff}))
