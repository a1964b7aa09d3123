"""Work that repeats by timer."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from penstock_common.errors import PenstockError

log = structlog.get_logger()


async def every(seconds: float, work: Callable[[], Awaitable[None]], failed: str) -> None:
    """Repeat, the first time after `seconds`; a failure is logged as `failed` and tried again."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except PenstockError as error:
            log.warning(failed, reason=error.message)
        except Exception:
            log.exception(failed)
