"""Work that repeats by timer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from penstock_common.errors import PenstockError

log = structlog.get_logger()


async def every(
    seconds: float, work: Callable[[], Awaitable[None]], failed: str, nudged: asyncio.Event | None = None
) -> None:
    """Repeat, the first time after `seconds` or a nudge; a failure is logged as `failed` and tried again."""
    nudged = nudged or asyncio.Event()
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await nudged.wait()
        nudged.clear()
        await guarded(work, failed)


async def guarded(work: Callable[[], Awaitable[None]], failed: str) -> None:
    """Do it; a failure is logged as `failed`, and is none of the caller's."""
    try:
        await work()
    except PenstockError as error:
        log.warning(failed, reason=error.message)
    except Exception:
        log.exception(failed)


class Periodic:
    """Work that a process repeats as long as it lives; several processes that do it must do no harm."""

    def __init__(self, seconds: float, work: Callable[[], Awaitable[None]], failed: str) -> None:
        self._seconds, self._work, self._failed = seconds, work, failed
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, the first time after `seconds` or a nudge."""
        self._task = asyncio.create_task(every(self._seconds, self._work, self._failed, self._nudged))

    def nudge(self) -> None:
        """Do it now, or once more where it is being done."""
        self._nudged.set()

    async def stop(self) -> None:
        """Repeat no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
