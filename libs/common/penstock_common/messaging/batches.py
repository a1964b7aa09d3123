"""Gathers a lane's deliveries into batches: up to `size`, or what came within `within_ms` of the first."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

from penstock_common.messaging.delivery import CallBatch, Delivery
from penstock_common.messaging.ports import Free, Incoming
from penstock_common.messaging.topology import Batch, Consumer


class Batches:
    """A lane's batches, each in a task, as many at once as the lane has; what arrives meanwhile makes the next."""

    def __init__(self, delivery: Delivery, call: CallBatch, lane: Consumer) -> None:
        assert lane.batch is not None
        self._delivery, self._call, self._lane = delivery, call, lane
        self._batch: Batch = lane.batch
        self._waiting: deque[tuple[Incoming, Free]] = deque()
        self._full = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Incoming, free: Free) -> None:
        """Have a message handled in the next batch; `free` is called once it was settled."""
        self._delivery.inflight.hold([message])
        self._waiting.append((message, free))
        waiting, size = len(self._waiting), self._batch.size
        if waiting >= size:
            self._full.set()
        if not self._tasks or (waiting > size and len(self._tasks) < self._lane.batches):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            self._delivery.inflight.tasks.add(task)

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._waiting:
                self._delivery.inflight.tasks.add(task)
                async with self._turn:
                    batch = await self._gathered()
                if batch:
                    await self._run(batch)
        except asyncio.CancelledError:
            await self._give_back()
            raise
        finally:
            self._tasks.discard(task)
            self._delivery.inflight.tasks.discard(task)

    async def _gathered(self) -> list[tuple[Incoming, Free]]:
        """The next batch; empty where others took all that waited."""
        if self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._batch.within_ms / 1000):
                    await self._full.wait()
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch.size))]
        if len(self._waiting) < self._batch.size:
            self._full.clear()
        return batch

    async def _run(self, batch: Sequence[tuple[Incoming, Free]]) -> None:
        try:
            await self._delivery.run_batch(self._call, [message for message, _ in batch], self._lane)
        finally:
            _, free = batch[0]
            free(len(batch))

    async def _give_back(self) -> None:
        left = [message for message, _ in self._waiting]
        self._waiting.clear()
        await self._delivery.hand_back(*left)
        self._delivery.inflight.release(left)
