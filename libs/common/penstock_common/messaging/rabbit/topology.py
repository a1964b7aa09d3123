"""Creates and compares exchanges and queues. The only code that may."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiormq
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from penstock_common.errors import BusUnavailable, TopologyRefused
from penstock_common.messaging.ports import Look
from penstock_common.messaging.rabbit.declared import Declared, Exchange, Queue, declared
from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, unavailable
from penstock_common.messaging.rabbit.wire import EVENTS, persistent
from penstock_common.messaging.rebuilding import announcement
from penstock_common.messaging.topology import Consumer, Topology

DECLARE_TIMEOUT = 15.0  # seconds; a quorum queue elects its leader
UNTOLD = Exchange("untold", "fanout")
"""There while queues are made anew and the services don't know it: a job that dies meanwhile leaves it to the next."""
INEQUIVALENT = re.compile(r"inequivalent arg '(?P<name>[^']+)'.*received (?P<new>.+) but current is (?P<old>.+)")
REMEDY = (
    "RabbitMQ can't change a queue in place. Stop what publishes to it, let its consumers empty it, "
    "delete it with `rabbitmqctl delete_queue NAME`, then run `penstock topology apply` again"
)


@dataclass(frozen=True, slots=True)
class Change:
    """What differs on the server. `differs` is empty where nothing is there yet."""

    thing: Declared
    differs: str = ""

    def __str__(self) -> str:
        return f"change {self.thing}: {self.differs}" if self.differs else f"create {self.thing}"


class RabbitTopology:
    """The topology job on RabbitMQ."""

    def __init__(self, url: str) -> None:
        self._url = str(URL(url).update_query(name="penstock topology"))

    async def apply(self, topology: Topology, *, tell: bool = True) -> list[str]:
        """Create what is missing, deleting nothing. Raises TopologyRefused before anything is changed."""
        async with self._connection() as connection:
            clerk = Clerk(connection)
            changes = await _changes(clerk, topology)
            if differing := [str(change) for change in changes if change.differs]:
                raise TopologyRefused(f"{'; '.join(differing)}. {REMEDY}")
            untold = tell and (bool(changes) or not await clerk.lacks(UNTOLD))
            if untold:
                await clerk.declare(UNTOLD)
            for change in changes:
                await clerk.declare(change.thing)
            if untold:
                await _tell(connection, topology)
            return [str(change) for change in changes]

    async def diff(self, topology: Topology) -> list[str]:
        """What `apply` would do, without doing it."""
        async with self._connection() as connection:
            return [str(change) for change in await _changes(Clerk(connection), topology)]

    @asynccontextmanager
    async def looking(self, topology: Topology) -> AsyncIterator[Look]:
        """Connected; looking is one question a queue and exchange."""
        things = list(declared(topology))
        async with self._connection() as connection:
            clerk = Clerk(connection)

            async def lacks() -> bool:
                for thing in things:
                    if await clerk.lacks(thing):
                        return True
                return False

            yield Look(lacks, connection.closing)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiormq.Connection]:
        connection = aiormq.Connection(self._url)
        async with unavailable(OPEN_TIMEOUT):
            await connection.connect()
        try:
            yield connection
        finally:
            await connection.close()


class Clerk:
    """Asks one thing after the other, each in its own time, on one channel as long as the server leaves it open."""

    def __init__(self, connection: aiormq.Connection) -> None:
        self._connection = connection
        self._channel: aiormq.abc.AbstractChannel | None = None

    async def declare(self, thing: Declared, *, passive: bool = False) -> None:
        """Create or check. Raises BusUnavailable; `__cause__` has the server's reason."""
        async with unavailable(DECLARE_TIMEOUT):
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel(publisher_confirms=False)
            await thing.declare(self._channel, passive=passive)

    async def lacks(self, thing: Declared) -> bool:
        """Whether the server does not have it. Raises BusUnavailable."""
        try:
            await self.declare(thing, passive=True)
        except BusUnavailable as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                return True
            raise
        return False

    async def compared(self, thing: Declared) -> Change | None:
        """Declaring again changes nothing where it exists but to bind it anew, as a binding can't be looked at.

        Tells what differs. Raises BusUnavailable.
        """
        if await self.lacks(thing):
            return Change(thing)
        try:
            await self.declare(thing)
        except BusUnavailable as error:
            match error.__cause__:
                case ChannelNotFoundEntity():  # an exchange that it is bound to
                    return Change(thing)
                case ChannelPreconditionFailed() as refusal:
                    return Change(thing, shown(str(refusal)))
            raise
        return None

    async def close(self) -> None:
        """Ask no more; the connection stays."""
        if self._channel and not self._channel.is_closed:
            async with unavailable(OPEN_TIMEOUT):
                await self._channel.close()


async def _tell(connection: aiormq.Connection, topology: Topology) -> None:
    """Let the services know what was lost, once all that they publish to is there again."""
    async with unavailable(DECLARE_TIMEOUT):
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        if topology.rebuilt:
            message = announcement(topology.rebuilt)
            properties = persistent(message.message_id, message.headers)
            await channel.basic_publish(
                message.body, exchange=EVENTS, routing_key=message.subject, properties=properties, mandatory=True
            )
        await channel.exchange_delete(UNTOLD.name)
        await channel.close()


async def _changes(clerk: Clerk, topology: Topology) -> list[Change]:
    found = [await clerk.compared(thing) for thing in declared(topology)]
    return [change for change in found if change]


async def missing(connection: aiormq.Connection, lanes: Sequence[Consumer]) -> list[str]:
    """The names of lanes of which the server lacks a queue. Raises BusUnavailable."""
    clerk = Clerk(connection)
    found = [lane.name for lane in lanes if any([await clerk.lacks(Queue(queue, {})) for queue in lane.queues])]
    await clerk.close()
    return found


def shown(refusal: str) -> str:
    """A server's refusal as name, old and new value."""
    told = INEQUIVALENT.search(refusal)
    if not told:
        return refusal
    return f"{told['name']} {_value(told['old'])} → {_value(told['new'])}"


def _value(text: str) -> str:
    """A value as the server words it: `the value '7' of type 'long'`, `'7'` or `none`."""
    quoted = re.search(r"'([^']*)'", text)
    return quoted[1] if quoted else text
