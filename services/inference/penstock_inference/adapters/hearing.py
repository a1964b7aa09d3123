"""What every inference process hears and answers about the generations that it runs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import (
    ApiLives,
    AttachGeneration,
    CancelGeneration,
    FindGeneration,
    GenerationState,
    GenerationStates,
    ReadGeneration,
    ReadGenerations,
)
from penstock_common.errors import PenstockError
from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import (
    API_LIVES,
    ATTACH_GENERATION,
    CANCEL_GENERATION,
    FIND_GENERATION,
    READ_GENERATION,
    READ_GENERATIONS,
)
from penstock_inference.domain.parts import lacking, part_of
from penstock_inference.generating.leaving import Leaving
from penstock_inference.generating.ports import Listeners, Records

log = structlog.get_logger()

UNKNOWN = "unknown"
Queued = Callable[[UUID], Awaitable[GenerationState | None]]
"""Tells of a request that waits in the queue."""
ANSWERS_AT_ONCE = 16  # read from their rows: each is held whole in memory meanwhile


async def nothing_queued(_: UUID) -> None:
    """Where there is no queue."""


class Hearing:
    """Stops, re-attachments and questions, off the durable path."""

    def __init__(
        self, bus: Bus, records: Records, listeners: Listeners, leaving: Leaving, queued: Queued = nothing_queued
    ) -> None:
        self.bus, self.records, self.listeners, self.queued = bus, records, listeners, queued
        self.leaving, self.registry = leaving, leaving.registry
        self._answers_at_once = asyncio.Semaphore(ANSWERS_AT_ONCE)
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Begin to hear."""
        bus = self.bus
        self._subscriptions = [
            await bus.listen(CANCEL_GENERATION, self._cancel),
            await bus.listen(ATTACH_GENERATION, self._attach),
            await bus.listen(API_LIVES, self._lives),
            await bus.answer(FIND_GENERATION, silent(self._find), everyone=True),
            await bus.answer(READ_GENERATION, silent(self._read)),
            await bus.answer(READ_GENERATIONS, silent(self._read_states)),
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

    async def _lives(self, body: bytes) -> None:
        with contextlib.suppress(PenstockError):
            await self.leaving.on_lives(decode(ApiLives, body))

    async def _read(self, body: bytes) -> bytes:
        """The row's state; of an answer that ended, what the asking process lacks is sent to its inbox."""
        read = decode(ReadGeneration, body)
        if not read.reply_to:
            return encode(await self._state(read))
        async with self._answers_at_once:
            return encode(await self._state(read))

    async def _state(self, read: ReadGeneration) -> GenerationState:
        recorded = await self.records.read(read.request_id, with_answer=bool(read.reply_to))
        if recorded is None:
            return await self._unrecorded(read.request_id)
        if recorded.frames:
            part = part_of(lacking(recorded.frames, read.offsets), read.most)
            self.listeners.send(read.reply_to, read.request_id, part.frames)
        return recorded.state

    async def _read_states(self, body: bytes) -> bytes:
        ids = decode(ReadGenerations, body).request_ids
        known = await self.records.states(ids)
        return encode(GenerationStates(states=[known.get(id_) or await self._unrecorded(id_) for id_ in ids]))

    async def _unrecorded(self, request_id: UUID) -> GenerationState:
        return await self.queued(request_id) or GenerationState(request_id=request_id, outcome=UNKNOWN)


def silent(answer: Callable[[bytes], Awaitable[bytes | None]]) -> Callable[[bytes], Awaitable[bytes | None]]:
    """An answer that says nothing where it fails: the question times out, and is asked again."""

    async def guarded(body: bytes) -> bytes | None:
        try:
            return await answer(body)
        except PenstockError as error:
            log.warning("query.unanswered", reason=describe(error))
            return None

    return guarded
