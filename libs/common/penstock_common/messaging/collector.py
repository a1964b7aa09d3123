"""Gathers the dead letters of all consumers, in as many processes of one service as run."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.ports import Bus, Incoming, Subscription
from penstock_common.messaging.topology import Consumer, Topology

PAUSE = 1.0  # seconds
GRACE = 2.0  # seconds

Keep = Callable[[DeadLetter], Awaitable[None]]
"""Keeps a letter for good before it returns; is given some twice. What it raises has the letter delivered again."""


class Collector:
    """Acknowledges a letter once it is kept elsewhere: one that can't be kept now stays on the bus."""

    def __init__(self, bus: Bus, topology: Topology, keep: Keep) -> None:
        """Raises ValueError for a topology whose dead letters nobody collects."""
        if topology.collector is None:
            raise ValueError("this topology has no lane of all dead letters")
        self._bus, self._lane, self._keep = bus, topology.collector, keep
        self._delivery = Delivery(bus.settler)
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def lane(self) -> Consumer:
        """Where the letters come from."""
        return self._lane

    def start(self) -> None:
        """Receive as soon as the lane is there."""
        self._task = asyncio.create_task(self._subscribe())

    async def stop(self) -> None:
        """Receive no more; what is not kept yet is for the next process."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._subscription:
            await self._subscription.stop()
        await self._delivery.inflight.drain(GRACE)

    async def _subscribe(self) -> None:
        while self._subscription is None:
            with contextlib.suppress(BusUnavailable):
                if not await self._bus.missing([self._lane]):
                    self._subscription = await self._bus.pull(self._lane, self._deliver)
                    return
            await asyncio.sleep(PAUSE)

    async def _deliver(self, message: Incoming) -> None:
        await self._delivery.run(self._collect, message, self._lane)

    async def _collect(self, message: Incoming) -> None:
        await self._keep(DeadLetter.parse(message.headers, message.body))
