"""The scheduler's answers to queries."""

import asyncio
from collections.abc import Awaitable, Callable

from penstock_common.clock import Clock
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.schedules import PreviewTiming, ReadSchedules
from penstock_common.topology import PREVIEW_TIMING, READ_SCHEDULES
from penstock_scheduler.adapters.register import SqlReader
from penstock_scheduler.domain.preview import preview

Answer = Callable[[bytes], Awaitable[bytes]]


def preview_answer(clock: Clock) -> Answer:
    """What is given to the bus to answer PreviewTiming."""

    async def answer(body: bytes) -> bytes:
        question = decode(PreviewTiming, body, PREVIEW_TIMING.wire)
        # An expression that is due at no time takes a look at fifty years.
        return encode(await asyncio.to_thread(preview, question, clock.now()))

    return answer


def schedules_answer(reader: SqlReader) -> Answer:
    """What is given to the bus to answer ReadSchedules."""

    async def answer(body: bytes) -> bytes:
        return encode(await reader.read(decode(ReadSchedules, body, READ_SCHEDULES.wire)))

    return answer
