"""Asks again for what did not arrive: first whoever generates it, then the row that records its end."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from prometheus_client import Counter

from penstock_common.asking.commands import republished
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import AttachGeneration, GenerateText, GenerationState, ReadGeneration
from penstock_common.errors import BusUnavailable, NoAnswer, PenstockError
from penstock_common.messaging.ports import Bus
from penstock_common.topology import ATTACH_GENERATION, READ_GENERATION

log = structlog.get_logger()

RECOVERIES = Counter("penstock_answer_recoveries", "Times an answer was asked for again", ["by"])

SILENCE_SECONDS = 6.0  # adapters beat every two seconds
TICK = 0.25  # seconds
OWNER_SECONDS = 0.5  # an owner answers within 300 ms
ROW_SECONDS = 1.0
AGAIN_SECONDS = 1.0  # between two questions about a known gap
SPREAD_SECONDS = 1.0
UNKNOWN_LIMIT = 2  # times that inference may know nothing of a request before it is published again


class Pending(Protocol):
    """A request whose answer is on its way. Times are the loop's."""

    command: GenerateText
    check_at: float
    """When silence becomes suspicious."""
    heard: int
    """Messages received."""
    unknown: int
    """Times that inference knew nothing of this request."""
    recovering: "asyncio.Task[None] | None"

    @property
    def gapped(self) -> bool:
        """Whether something is known to have been lost on its way."""

    def offsets(self) -> dict[str, int]:
        """Characters already held, by `<choice>/<channel>`."""


class Recovery:
    """Looks after the open requests of a process."""

    def __init__(self, process: str, bus: Bus, pending: Callable[[], Iterable[Pending]]) -> None:
        self.process, self.bus, self.pending = process, bus, pending
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def begin(self, generation: Pending) -> None:
        """Ask for what is missing, unless that is under way."""
        if generation.recovering is None:
            generation.recovering = asyncio.create_task(self._recover(generation))

    async def _watch(self) -> None:
        loop, connected = asyncio.get_running_loop(), True
        while True:
            await asyncio.sleep(TICK)
            came_back, connected = self.bus.connected and not connected, self.bus.connected
            now = loop.time()
            for generation in list(self.pending()):
                if came_back:  # whatever was said meanwhile is lost; not all ask at once
                    generation.check_at = min(generation.check_at, now + random.uniform(0, SPREAD_SECONDS))  # noqa: S311
                if now >= generation.check_at:
                    self.begin(generation)

    async def _recover(self, generation: Pending) -> None:
        try:
            await self._ask(generation)
        except (BusUnavailable, NoAnswer) as error:
            log.info("recovery.delayed", request_id=str(generation.command.request_id), reason=error.message)
        except PenstockError as error:
            log.warning("recovery.failed", request_id=str(generation.command.request_id), reason=error.message)
        finally:
            wait = AGAIN_SECONDS if generation.gapped else SILENCE_SECONDS
            generation.check_at = asyncio.get_running_loop().time() + wait
            generation.recovering = None

    async def _ask(self, generation: Pending) -> None:
        heard = generation.heard
        RECOVERIES.labels("owner").inc()
        attach = AttachGeneration(
            request_id=generation.command.request_id, reply_to=self.process, offsets=generation.offsets()
        )
        await self.bus.broadcast(ATTACH_GENERATION, encode(attach, ATTACH_GENERATION.wire))
        await asyncio.sleep(OWNER_SECONDS)
        if generation.heard > heard and not generation.gapped:
            return
        RECOVERIES.labels("row").inc()
        read = ReadGeneration(request_id=generation.command.request_id, reply_to=self.process)
        body = await self.bus.query(READ_GENERATION, encode(read, READ_GENERATION.wire), ROW_SECONDS)
        state = decode(GenerationState, body, READ_GENERATION.wire)
        if state.outcome == "unknown":
            await self._unknown(generation)

    async def _unknown(self, generation: Pending) -> None:
        """A first execution writes no row, so one such answer says little: it may wait for its turn."""
        generation.unknown += 1
        if generation.unknown == UNKNOWN_LIMIT:
            RECOVERIES.labels("publish").inc()
            await self.bus.publish(republished(generation.command))
