"""A NATS server as it is seen from outside."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import nats
from nats.errors import Error
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.inspection import BusRefused, BusState, LaneState
from penstock_common.messaging.topology import DEAD_LETTERS, Consumer, Topology

PREFIX = "dlq."
SECONDS = 2


class NatsInspector:
    """Looks through a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def look(self, topology: Topology) -> BusState:
        """How it is now. Raises BusUnavailable, BusRefused."""
        async with self._jetstream() as js:
            found = await asyncio.gather(*(_state(js, lane) for lane in topology.lanes))
            lanes = dict(zip((lane.name for lane in topology.lanes), found, strict=True))
            return BusState(
                lanes={name: state for name, state in lanes.items() if state},
                dead_letters=await _dead_letters(js),
                missing=tuple(name for name, state in lanes.items() if state is None),
            )

    async def damaged(self, topology: Topology) -> Sequence[str]:
        """Nothing: a stream that NATS can't read is one that it does not have, and is laid out again."""
        return ()

    @asynccontextmanager
    async def _jetstream(self) -> AsyncIterator[JetStreamContext]:
        try:
            client = await nats.connect(
                self._url,
                name="penstock doctor",
                connect_timeout=SECONDS,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # counts for the first connection too: 60 by default, 2 s apart
                reconnect_time_wait=0.1,
                error_cb=_silent,
            )
        except (Error, OSError, TimeoutError) as error:
            if "authorization violation" in str(error).lower():  # nats-py has no type for it
                raise BusRefused from error
            raise BusUnavailable(f"NATS can't be reached: {_words(error)}") from error
        try:
            yield client.jetstream(timeout=SECONDS)
        except (APIError, Error, OSError, TimeoutError) as error:
            raise BusUnavailable(f"NATS does not answer: {_words(error)}") from error
        finally:
            await client.close()


async def _state(js: JetStreamContext, lane: Consumer) -> LaneState | None:
    try:
        info: api.ConsumerInfo = await js.consumer_info(lane.topic.stream, lane.name)
    except NotFoundError:
        return None
    return LaneState(
        waiting=info.num_pending or 0,
        unfinished=info.num_ack_pending or 0,
        receivers=info.num_waiting or 0,
        settled=_settled(info),
    )


def _settled(info: api.ConsumerInfo) -> int:
    """A slow message holds up the floor, but not the count of those behind it; which redeliveries count as well."""
    floor = info.ack_floor.consumer_seq if info.ack_floor else 0
    given = info.delivered.consumer_seq if info.delivered else 0
    return floor if info.num_redelivered else given - (info.num_ack_pending or 0)


async def _dead_letters(js: JetStreamContext) -> dict[str, int]:
    try:
        state = (await js.stream_info(DEAD_LETTERS.name, subjects_filter=f"{PREFIX}>")).state
    except NotFoundError:
        return {}
    return {subject.removeprefix(PREFIX): count for subject, count in (state.subjects or {}).items()}


async def _silent(_: Exception) -> None:
    """What fails is raised; nats-py would print a traceback besides."""


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
