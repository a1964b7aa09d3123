"""What the platform asks of a bus. One adapter per bus implements it; nothing above knows which one runs."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from penstock_common.contracts.base import Contract
from penstock_common.errors import PenstockError
from penstock_common.messaging.attempts import Attempt
from penstock_common.messaging.topology import Consumer, Topic, Topology

if TYPE_CHECKING:
    from penstock_common.messaging.delivery import Delivery

Deliver = Callable[["Incoming"], Awaitable[None]]
"""Handles one delivery and settles it; never raises."""

Free = Callable[[int], None]
"""Says that so many deliveries of a lane were settled: as many more may come."""

Take = Callable[["Incoming", Free], None]
"""Takes charge of a delivery, and calls `Free` once it was settled; must not block, never raises."""

Receive = Callable[[str, bytes], None]
"""Takes (key, body) of a message sent to a process's inbox; must not block."""


@dataclass(frozen=True, slots=True)
class Look:
    """A connection for looking at a bus."""

    lacks: Callable[[], Awaitable[bool]]
    """Whether something that the topology declares is missing now. Raises BusUnavailable."""
    gone: "asyncio.Future[Any]"
    """Done once the connection is closed."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way out: everything the bus needs, nothing of the contract."""

    subject: str
    stream: str
    message_id: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, eq=False)
class Incoming:
    """One delivery, the same for both buses. Header names are lower case."""

    subject: str
    message_id: str
    headers: Mapping[str, str]
    body: bytes
    raw: Any
    """The client library's own message, for the settler alone."""
    attempt: int = 0
    """From 1; set when the delivery is opened."""
    redelivered: bool = False
    """Whether an earlier delivery of it may have been begun, whatever became of that one."""
    settled: bool = field(default=False)
    traceparent: str = ""
    """The span that handles it; empty where none is made."""
    failure: Attempt | None = None
    """How the attempt ended, once it has failed."""
    held_until: float = math.inf
    """CLOCK_BOOTTIME seconds until which no other process can have been given it; each `extend` moves it on."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A lane, what its bodies are, and the handler that takes them decoded."""

    lane: Consumer
    contract: type[Contract]
    call: Callable[[Any], Awaitable[None]]


class Settler(Protocol):
    """Tells the bus how a delivery ended. Every method survives being called for a delivery taken back meanwhile."""

    heartbeat: float | None
    """Seconds between `extend` calls; None where the connection itself is the sign of life."""

    def holds(self, message: Incoming) -> bool:
        """Whether this process may still speak for a delivery: nobody else can have been given it meanwhile."""

    async def opening(self, message: Incoming, lane: Consumer) -> tuple[int, int]:
        """(attempt from 1, earlier attempts that ended without a word)."""

    async def ack(self, *messages: Incoming) -> None:
        """Handled, all of one lane; never deliver again."""

    def extend(self, messages: Sequence[Incoming]) -> None:
        """Still at work on these."""

    async def retry(self, message: Incoming, lane: Consumer, delay: float, reason: str) -> None:
        """Deliver again after `delay` seconds; the attempt counts."""

    async def hand_back(self, message: Incoming, delay: float = 0.0) -> None:
        """Deliver again, to anyone; the attempt was nobody's fault."""

    async def quarantine(self, message: Incoming, lane: Consumer, attempts: int) -> None:
        """Move to the quarantine lane, confirmed, then ack."""

    async def bury(self, message: Incoming, lane: Consumer, attempts: int, reason: str) -> None:
        """Move to the dead letters, confirmed and once, then ack."""


class Subscription(Protocol):
    """Something that receives until it is stopped."""

    async def stop(self) -> None:
        """Receive no more; what was received but not begun is handed back."""


class Front(Protocol):
    """FastStream's broker on a bus's connection."""

    async def start(self) -> None:
        """Begin to receive."""

    async def stop_receiving(self) -> None:
        """Receive no more; what was received but not begun is handed back."""

    async def stop(self) -> None:
        """Release what the broker holds, after its deliveries have ended."""


class Bus(Protocol):
    """One process's connection. Calls fail with BusUnavailable instead of waiting while the bus is away."""

    @property
    def settler(self) -> Settler:
        """Settles this connection's deliveries."""

    @property
    def connected(self) -> bool:
        """Whether the connection is up now."""

    async def connect(self) -> None:
        """Connect; keeps reconnecting by itself afterwards. Raises BusUnavailable if it can't be reached now."""

    async def close(self) -> None:
        """Flush what was sent, and disconnect."""

    async def publish(self, message: Outgoing, timeout: float = 2.0) -> None:
        """Store durably; returns once the bus confirmed. A repeat under the same id is harmless."""

    async def publish_all(self, messages: Sequence[Outgoing], timeout: float = 2.0) -> Sequence[PenstockError | None]:
        """Store several, under one time limit; gives, for each, why it was not confirmed, and None where it was."""

    def send(self, process: str, key: str, body: bytes) -> None:
        """Best effort, in order, to a process's inbox; nothing is stored.

        What one turn of the event loop sends to the same process travels together. Raises BusUnavailable if surely
        lost, MessageTooLarge.
        """

    async def receive(self, process: str, receive: Receive) -> Subscription:
        """Open this process's inbox."""

    async def query(self, topic: Topic, body: bytes, timeout: float) -> bytes:
        """Ask the first process that answers. Raises NoAnswer after `timeout` seconds."""

    async def answer(
        self, topic: Topic, answer: Callable[[bytes], Awaitable[bytes | None]], *, everyone: bool = False
    ) -> Subscription:
        """Answer queries: one process of the service each, or with `everyone` all of them hear it; None is silence."""

    async def broadcast(self, topic: Topic, body: bytes) -> None:
        """Tell every process that listens now; nothing is stored."""

    async def listen(self, topic: Topic, listener: Callable[[bytes], Awaitable[None]]) -> Subscription:
        """Hear every message of a topic published from now on, stored or not, in this process too."""

    async def missing(self, lanes: Sequence[Consumer]) -> list[str]:
        """The names of lanes that don't exist on the server. Raises BusUnavailable."""

    async def guard(self, topology: Topology) -> Subscription:
        """Bury what the server gives up by itself, in as many processes as run."""

    async def forget(self, lanes: Sequence[Consumer]) -> None:
        """Remove what all lanes of a stream have settled and the bus keeps all the same; to be called again and again.

        Raises BusUnavailable.
        """

    def front(self, bounds: Sequence[Bound], delivery: "Delivery") -> Front:
        """FastStream for these lanes: one subscriber each, settled by `delivery` alone."""

    async def pull(self, lane: Consumer, deliver: Deliver) -> Subscription:
        """Receive a durable lane on the plain client, each delivery in a task, at most `lane.prefetch` at once."""

    async def take(self, lane: Consumer, take: Take) -> Subscription:
        """The same, but without tasks."""


class TopologyJob(Protocol):
    """Creates and compares what the topology declares. The only code that may."""

    async def apply(self, topology: Topology, *, tell: bool = True) -> list[str]:
        """Make the bus match; returns one line per thing created or changed.

        With `tell` the services hear that what they said may be lost, where something was made anew.
        """

    async def diff(self, topology: Topology) -> list[str]:
        """What `apply` would do, without doing it."""

    def looking(self, topology: Topology) -> AbstractAsyncContextManager[Look]:
        """Connected, so that it can be asked cheaply whether something is missing. Raises BusUnavailable."""
