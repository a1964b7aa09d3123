"""Gathers a lane's deliveries into batches: up to `size`, or what came within `within_ms` of the first."""

import asyncio

from penstock_common.messaging.delivery import CallBatch, Delivery
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.topology import Batch, Consumer


class Batches:
    """One batch of a lane at a time; what arrives meanwhile makes the next."""

    def __init__(self, delivery: Delivery, call: CallBatch, lane: Consumer) -> None:
        assert lane.batch is not None
        self._delivery, self._call, self._lane = delivery, call, lane
        self._batch: Batch = lane.batch
        self._waiting: dict[int, tuple[Incoming, asyncio.Future[None]]] = {}
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def deliver(self, message: Incoming) -> None:
        """Have a message handled in the next batch; returns when it was settled."""
        done = asyncio.get_running_loop().create_future()
        self._waiting[id(message)] = message, done
        if len(self._waiting) >= self._batch.size:
            self._full.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        with self._delivery.inflight.holding(message):
            try:
                await done
            except asyncio.CancelledError:
                self._waiting.pop(id(message), None)
                await self._delivery.hand_back(message)
                raise

    async def _work(self) -> None:
        while self._waiting:
            await self._gather()
            batch = [self._waiting.pop(key) for key in list(self._waiting)[: self._batch.size]]
            if len(self._waiting) < self._batch.size:
                self._full.clear()
            try:
                await self._delivery.run_batch(self._call, [message for message, _ in batch], self._lane)
            finally:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(self._batch.within_ms / 1000):
                await self._full.wait()
        except TimeoutError:
            return
