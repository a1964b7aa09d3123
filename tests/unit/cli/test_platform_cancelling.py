"""A task that is told to end ends, also where the first word is lost on it."""

import asyncio

from penstock.platform.cancelling import end


async def test_a_dropped_cancellation_is_said_again() -> None:
    """As `asyncio.wait_for` drops one that comes together with what it waited for."""
    dropped: list[asyncio.CancelledError] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            dropped.append(error)
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(task)
    assert task.cancelled()
    assert len(dropped) == 1


async def test_one_that_has_ended_is_left_alone() -> None:
    """Whatever it ended with is still there."""
    task = asyncio.create_task(asyncio.sleep(0, "done"))
    await task
    await end(task)
    assert task.result() == "done"
