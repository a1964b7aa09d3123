"""Gathers a lane's deliveries into batches: up to `size`, or what came within `within_ms` of the first."""

import asyncio
from collections import deque

from penstock_common.messaging.delivery import CallBatch, Delivery
from penstock_common.messaging.ports import Free, Incoming
from penstock_common.messaging.topology import Batch, Consumer


class Batches:
    """One batch of a lane at a time, in one task; what arrives meanwhile makes the next."""

    def __init__(self, delivery: Delivery, call: CallBatch, lane: Consumer) -> None:
        assert lane.batch is not None
        self._delivery, self._call, self._lane = delivery, call, lane
        self._batch: Batch = lane.batch
        self._waiting: deque[tuple[Incoming, Free]] = deque()
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def take(self, message: Incoming, free: Free) -> None:
        """Have a message handled in the next batch; `free` is called once it was settled."""
        self._delivery.inflight.hold([message])
        self._waiting.append((message, free))
        if len(self._waiting) >= self._batch.size:
            self._full.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
            self._delivery.inflight.tasks.add(self._task)

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._waiting:
                self._delivery.inflight.tasks.add(task)
                await self._gather()
                await self._run(min(len(self._waiting), self._batch.size))
        except asyncio.CancelledError:
            await self._give_back()
            raise
        finally:
            self._delivery.inflight.tasks.discard(task)

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(self._batch.within_ms / 1000):
                await self._full.wait()
        except TimeoutError:
            return

    async def _run(self, size: int) -> None:
        batch = [self._waiting.popleft() for _ in range(size)]
        if len(self._waiting) < self._batch.size:
            self._full.clear()
        try:
            await self._delivery.run_batch(self._call, [message for message, _ in batch], self._lane)
        finally:
            _, free = batch[0]
            free(size)

    async def _give_back(self) -> None:
        left = [message for message, _ in self._waiting]
        self._waiting.clear()
        await self._delivery.hand_back(*left)
        self._delivery.inflight.release(left)
