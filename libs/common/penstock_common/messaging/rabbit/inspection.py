"""A RabbitMQ server as it is seen from outside, by the protocol alone."""

from collections.abc import AsyncIterator
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
from penstock_common.messaging.rabbit.link import OPEN_TIMEOUT, unavailable
from penstock_common.messaging.rabbit.settler import LEVELS
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
