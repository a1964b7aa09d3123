"""What every inference process hears and answers about the generations that it runs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import (
    AttachGeneration,
    CancelGeneration,
    FindGeneration,
    GenerationState,
    ReadGeneration,
)
from penstock_common.errors import PenstockError
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import ATTACH_GENERATION, CANCEL_GENERATION, FIND_GENERATION, READ_GENERATION
from penstock_inference.generating.ports import Listeners, Records
from penstock_inference.generating.registry import Registry

log = structlog.get_logger()

UNKNOWN = "unknown"


class Hearing:
    """Stops, re-attachments and questions, off the durable path."""

    def __init__(self, bus: Bus, registry: Registry, records: Records, listeners: Listeners) -> None:
        self.bus, self.registry, self.records, self.listeners = bus, registry, records, listeners
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Begin to hear."""
        bus = self.bus
        self._subscriptions = [
            await bus.listen(CANCEL_GENERATION, self._cancel),
            await bus.listen(ATTACH_GENERATION, self._attach),
            await bus.answer(FIND_GENERATION, silent(self._find), everyone=True),
            await bus.answer(READ_GENERATION, silent(self._read)),
        ]

    async def stop(self) -> None:
        """Hear no more."""
        await asyncio.gather(*(s.stop() for s in self._subscriptions))

    async def _cancel(self, body: bytes) -> None:
        with contextlib.suppress(PenstockError):
            await self.registry.on_cancel(decode(CancelGeneration, body))

    async def _attach(self, body: bytes) -> None:
        with contextlib.suppress(PenstockError):
            await self.registry.on_attach(decode(AttachGeneration, body))

    async def _find(self, body: bytes) -> bytes | None:
        found = await self.registry.on_find(decode(FindGeneration, body))
        return encode(found) if found else None

    async def _read(self, body: bytes) -> bytes:
        """The row's state; an answer that is complete is sent to the asking process's inbox."""
        read = decode(ReadGeneration, body)
        recorded = await self.records.read(read.request_id)
        if recorded is None:
            return encode(GenerationState(request_id=read.request_id, outcome=UNKNOWN))
        if read.reply_to and recorded.frames:
            self.listeners.send(read.reply_to, read.request_id, recorded.frames)
        return encode(GenerationState(request_id=read.request_id, outcome=recorded.outcome, attempt=recorded.attempt))


def silent(answer: Callable[[bytes], Awaitable[bytes | None]]) -> Callable[[bytes], Awaitable[bytes | None]]:
    """An answer that says nothing where it fails: the question times out, and is asked again."""

    async def guarded(body: bytes) -> bytes | None:
        try:
            return await answer(body)
        except PenstockError as error:
            log.warning("query.unanswered", reason=describe(error))
            return None

    return guarded
