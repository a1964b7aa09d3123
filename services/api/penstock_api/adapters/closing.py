"""How what waits in memory is written at a stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from penstock_common.errors import DatabaseUnavailable


async def write_the_rest(
    writing: "asyncio.Task[None] | None", write_all: Callable[[], Awaitable[None]], seconds: float
) -> None:
    """End the task that writes, then write what is left, if the database takes it within `seconds`."""
    if writing is None:
        return
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    with contextlib.suppress(TimeoutError, DatabaseUnavailable):
        async with asyncio.timeout(seconds):
            await write_all()
