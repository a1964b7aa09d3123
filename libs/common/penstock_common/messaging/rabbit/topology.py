"""Creates and compares exchanges and queues. The only code that may."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiormq
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from penstock_common.errors import BusUnavailable, TopologyRefused
from penstock_common.messaging.rabbit.declared import Declared, declared
from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, unavailable
from penstock_common.messaging.topology import Topology

DECLARE_TIMEOUT = 15.0  # seconds; a quorum queue elects its leader
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

    async def apply(self, topology: Topology) -> list[str]:
        """Create what is missing, deleting nothing. Raises TopologyRefused before anything is changed."""
        async with self._connection() as connection:
            changes = await _changes(connection, topology)
            if differing := [str(change) for change in changes if change.differs]:
                raise TopologyRefused(f"{'; '.join(differing)}. {REMEDY}")
            for thing in declared(topology):  # all of them: a binding can't be looked at, but made again
                async with unavailable(DECLARE_TIMEOUT), _channel(connection) as channel:
                    await thing.declare(channel)
            return [str(change) for change in changes]

    async def diff(self, topology: Topology) -> list[str]:
        """What `apply` would do, without doing it."""
        async with self._connection() as connection:
            return [str(change) for change in await _changes(connection, topology)]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiormq.Connection]:
        connection = aiormq.Connection(self._url)
        async with unavailable(OPEN_TIMEOUT):
            await connection.connect()
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def _channel(connection: aiormq.Connection) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    channel = await connection.channel(publisher_confirms=False)
    try:
        yield channel
    finally:
        if not channel.is_closed:
            await channel.close()


async def _changes(connection: aiormq.Connection, topology: Topology) -> list[Change]:
    found = [await _compared(connection, thing) for thing in declared(topology)]
    return [change for change in found if change]


async def _compared(connection: aiormq.Connection, thing: Declared) -> Change | None:
    """Declaring again changes nothing where it exists, and tells what differs; it closes the channel then."""
    try:
        async with unavailable(DECLARE_TIMEOUT), _channel(connection) as channel:
            await thing.declare(channel, passive=True)
            await thing.declare(channel)
    except BusUnavailable as error:
        match error.__cause__:
            case ChannelNotFoundEntity():
                return Change(thing)
            case ChannelPreconditionFailed() as refusal:
                return Change(thing, shown(str(refusal)))
        raise
    return None


async def absent(connection: aiormq.Connection, queue: str) -> bool:
    """Whether the server has no such queue. Raises BusUnavailable."""
    try:
        async with unavailable(DECLARE_TIMEOUT), _channel(connection) as channel:
            await channel.queue_declare(queue, passive=True)
    except BusUnavailable as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return True
        raise
    return False


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
