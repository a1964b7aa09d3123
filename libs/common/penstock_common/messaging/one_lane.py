"""Receives one durable lane that no handler of a service stands behind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.ports import Bus, Incoming, Subscription
from penstock_common.messaging.topology import Consumer

PAUSE = 1.0  # seconds
GRACE = 2.0  # seconds


class OneLane:
    """Each delivery is given to `handle`, and settled by what that raises."""

    def __init__(self, bus: Bus, lane: Consumer, handle: Callable[[Incoming], Awaitable[None]]) -> None:
        self._bus, self.lane, self._handle = bus, lane, handle
        self._delivery = Delivery(bus.settler)
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Receive as soon as the lane is there."""
        self._task = asyncio.create_task(self._subscribe())

    async def stop(self) -> None:
        """Receive no more; what is not handled yet is for the next process."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._subscription:
            await self._subscription.stop()
        await self._delivery.inflight.drain(GRACE)

    async def _subscribe(self) -> None:
        while self._subscription is None:
            with contextlib.suppress(BusUnavailable):
                if not await self._bus.missing([self.lane]):
                    self._subscription = await self._bus.pull(self.lane, self._deliver)
                    return
            await asyncio.sleep(PAUSE)

    async def _deliver(self, message: Incoming) -> None:
        await self._delivery.run(self._handle, message, self.lane)
