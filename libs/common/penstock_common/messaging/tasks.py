"""Deliveries in tasks of their own."""

import asyncio

from penstock_common.messaging.ports import Deliver, Free, Incoming, Take


def in_tasks(deliver: Deliver) -> Take:
    """Begins each delivery in a task as it arrives; its slot is free when that ends."""
    running: set[asyncio.Task[None]] = set()  # the loop itself keeps no task that waits

    async def run(message: Incoming, free: Free) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await deliver(message)
        finally:
            running.discard(task)
            free(1)

    def take(message: Incoming, free: Free) -> None:
        asyncio.create_task(run(message, free))  # noqa: RUF006 (the loop keeps it until it has begun)

    return take
