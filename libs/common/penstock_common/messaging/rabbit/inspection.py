"""A RabbitMQ server as it is seen from outside, by the protocol alone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiormq
from aiormq.exceptions import (
    AuthenticationError,
    ChannelNotFoundEntity,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)
from yarl import URL

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.inspection import BusRefused, BusState, LaneState
from penstock_common.messaging.rabbit.declared import Queue, declared
from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, unavailable
from penstock_common.messaging.rabbit.settler import LEVELS
from penstock_common.messaging.rabbit.trouble import is_felling
from penstock_common.messaging.rabbit.wire import level_name
from penstock_common.messaging.topology import Consumer, Topology

LOOK_SECONDS = 15.0
REFUSALS = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed)


class RabbitInspector:
    """Looks through a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = str(URL(url).update_query(name="penstock doctor"))

    async def look(self, topology: Topology) -> BusState:
        """How it is now. Raises BusUnavailable, BusRefused."""
        async with self._connection() as connection, unavailable(LOOK_SECONDS):
            lanes = {lane.name: await _lane(connection, lane) for lane in topology.lanes}
            graves = {c.name: await _state(connection, c.dead_letters) for c in topology.rows}
            levels = [await _state(connection, level_name(delay)) for delay in {*LEVELS, *topology.retry_delays}]
        return BusState(
            lanes={name: state for name, state in lanes.items() if state},
            dead_letters={name: grave.waiting for name, grave in graves.items() if grave and grave.waiting},
            missing=tuple(name for name, state in lanes.items() if state is None),
            delayed=sum(level.waiting for level in levels if level),
        )

    async def damaged(self, topology: Topology) -> Sequence[str]:
        """Queues whose log the server can't read, as after a full disk: it calls them empty, and fails when asked."""
        suspects = [thing.name for thing in declared(topology) if isinstance(thing, Queue)]
        found: list[str] = []
        while suspects:
            async with self._connection() as connection:
                found += await _first_damaged(connection, suspects)
        return sorted(found)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiormq.Connection]:
        connection = aiormq.Connection(self._url)
        try:
            async with unavailable(OPEN_TIMEOUT):
                await connection.connect()
        except BusUnavailable as error:
            if isinstance(error.__cause__, REFUSALS):
                raise BusRefused from error
            raise
        try:
            yield connection
        finally:
            await connection.close()


async def _lane(connection: aiormq.Connection, lane: Consumer) -> LaneState | None:
    """Of all its queues together; None where one of them is missing."""
    states = [await _state(connection, queue) for queue in lane.queues]
    there = [state for state in states if state]
    if len(there) < len(states):
        return None
    return LaneState(waiting=sum(s.waiting for s in there), receivers=min(s.receivers for s in there))


async def _state(connection: aiormq.Connection, queue: str) -> LaneState | None:
    """None where there is no such queue: asking for it closes the channel, so that each question has its own."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        told = await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return LaneState(waiting=told.message_count or 0, receivers=told.consumer_count or 0)


async def _first_damaged(connection: aiormq.Connection, suspects: list[str]) -> Sequence[str]:
    """Ask one after the other, until one costs the connection or none is left."""
    while suspects:
        name = suspects.pop()
        if await _is_empty(connection, name) and await _fells(connection, name):
            return (name,)
    return ()


async def _is_empty(connection: aiormq.Connection, queue: str) -> bool:
    """Whether it is there, and neither has messages nor a receiver as far as the server knows."""
    async with unavailable(LOOK_SECONDS):
        state = await _state(connection, queue)
    return state is not None and not state.waiting and not state.receivers


async def _fells(connection: aiormq.Connection, queue: str) -> bool:
    """Whether asking for a message of an empty queue costs the connection; one that came just now goes back."""
    try:
        async with unavailable(LOOK_SECONDS):
            channel = await connection.channel(publisher_confirms=False)
            await channel.basic_get(queue)
            await channel.close()
    except BusUnavailable as error:
        return is_felling(error)
    return False
