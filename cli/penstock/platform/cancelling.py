"""How a task is ended for sure."""

import asyncio
from typing import Any

AGAIN_SECONDS = 1.0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel until it has ended; how it did is for others to ask.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which bus clients use for each question, drops a
    cancellation that comes together with the answer.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_SECONDS)
