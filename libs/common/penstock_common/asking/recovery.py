"""Asks again for what did not arrive: first whoever generates it, then the row that records its end."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from penstock_common.asking.commands import republished
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import (
    AttachGeneration,
    GenerateText,
    GenerationState,
    GenerationTakenOver,
    Outcome,
    ReadGeneration,
)
from penstock_common.errors import BusUnavailable, NoAnswer, PenstockError
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import ATTACH_GENERATION, GENERATION_TAKEN_OVER, READ_GENERATION

log = structlog.get_logger()

RECOVERIES = Counter("penstock_answer_recoveries", "Times an answer was asked for again", ["by"])

SILENCE_SECONDS = 6.0  # adapters beat every two seconds
TICK = 0.25  # seconds
OWNER_SECONDS = 0.5  # an owner answers within 300 ms
LOOK_SECONDS = 0.02  # between two looks whether the owner answered
ROW_SECONDS = 1.0
AGAIN_SECONDS = 1.0  # between two questions about a known gap
SPREAD_SECONDS = 1.0
SUSPECTS_AT_ONCE = 200
"""When thousands fall silent together, asking for all of them at once would be one more load on whoever is late."""
UNKNOWN_LIMIT = 2  # times that inference may know nothing of a request before it is published again
UNOWNED_LIMIT = 4  # the same for one that is claimed, and whose owner may be frozen or be taken over from
ENDS = frozenset(Outcome)


class Pending(Protocol):
    """A request whose answer is on its way. Times are the loop's."""

    check_at: float
    """When silence becomes suspicious."""
    heard: int
    """Messages received."""
    unknown: int
    """Times that nobody generated this request, and no end of it was recorded."""
    recorded: bool
    """Whether the row is known to hold the end: nobody generates any more."""
    recovering: "asyncio.Task[None] | None"

    @property
    def request_id(self) -> UUID:
        """The request's id."""

    @property
    def command(self) -> GenerateText | None:
        """What is published again if nobody knows of the request; None where another process sees to that."""

    @property
    def gapped(self) -> bool:
        """Whether something is known to be missing, and there is room for it."""

    @property
    def most(self) -> int:
        """Characters that there is room for; 0 for all."""

    def offsets(self) -> dict[str, int]:
        """Characters already held, by `<choice>/<channel>`."""


class Recovery:
    """Looks after the open requests of a process."""

    def __init__(
        self,
        process: str,
        bus: Bus,
        pending: Callable[[], Iterable[Pending]],
        waiting: Callable[[str], Iterable[Pending]],
    ) -> None:
        self.process, self.bus = process, bus
        self.pending, self.waiting = pending, waiting
        """All that is open, and what is open of the request of an id."""
        self._under_way = 0
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to watch. Raises BusUnavailable."""
        self._subscription = await self.bus.listen(GENERATION_TAKEN_OVER, self._taken_over)
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        if self._subscription:
            with contextlib.suppress(PenstockError):
                await self._subscription.stop()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def begin(self, generation: Pending) -> None:
        """Ask for what is missing, unless that is under way."""
        if generation.recovering is None:
            generation.recovering = asyncio.create_task(self._recover(generation))
            self._under_way += 1
            generation.recovering.add_done_callback(self._recovered)  # also if it is cancelled before it began

    def _recovered(self, _: "asyncio.Task[None]") -> None:
        self._under_way -= 1

    async def _watch(self) -> None:
        loop, connected = asyncio.get_running_loop(), True
        while True:
            await asyncio.sleep(TICK)
            came_back, connected = self.bus.connected and not connected, self.bus.connected
            now = loop.time()
            for generation in list(self.pending()):
                if came_back:  # whatever was said meanwhile is lost; not all ask at once
                    generation.check_at = min(generation.check_at, now + random.uniform(0, SPREAD_SECONDS))  # noqa: S311
                if now >= generation.check_at and self._under_way < SUSPECTS_AT_ONCE:
                    self.begin(generation)  # the others are looked at again at the next tick, if still silent

    async def _taken_over(self, body: bytes) -> None:
        """The new attempt speaks to the process that accepted its request; every other one must say that it listens."""
        try:
            taken = decode(GenerationTakenOver, body, GENERATION_TAKEN_OVER.wire)
            for generation in self.waiting(str(taken.request_id)):
                generation.check_at = asyncio.get_running_loop().time() + AGAIN_SECONDS
                await self._attach(generation, {})
        except PenstockError as error:
            log.info("takeover.unheard", reason=error.message)

    async def _recover(self, generation: Pending) -> None:
        try:
            while await self._brought_a_part(generation):
                pass
        except (BusUnavailable, NoAnswer) as error:
            log.info("recovery.delayed", request_id=str(generation.request_id), reason=error.message)
        except PenstockError as error:
            log.warning("recovery.failed", request_id=str(generation.request_id), reason=error.message)
        finally:
            wait = AGAIN_SECONDS if generation.gapped else SILENCE_SECONDS
            generation.check_at = asyncio.get_running_loop().time() + wait
            generation.recovering = None

    async def _brought_a_part(self, generation: Pending) -> bool:
        """Ask, and tell whether that brought as much as there was room for, and there is room again."""
        held = sum(generation.offsets().values())
        await self._ask(generation)
        if generation.most:
            await asyncio.sleep(LOOK_SECONDS)
        return generation.most > 0 and generation.gapped and sum(generation.offsets().values()) > held

    async def _ask(self, generation: Pending) -> None:
        if not generation.recorded and await self._asked_owner(generation):
            return
        RECOVERIES.labels("row").inc()
        read = ReadGeneration(
            request_id=generation.request_id,
            reply_to=self.process,
            offsets=generation.offsets(),
            most=self._most(generation),
        )
        body = await self.bus.query(READ_GENERATION, encode(read, READ_GENERATION.wire), ROW_SECONDS)
        state = decode(GenerationState, body, READ_GENERATION.wire)
        generation.recorded = state.outcome in ENDS
        if not generation.recorded:
            await self._unanswered(generation, UNKNOWN_LIMIT if state.outcome == "unknown" else UNOWNED_LIMIT)

    async def _asked_owner(self, generation: Pending) -> bool:
        """Whether the process that generates it sent what was missing."""
        clock = asyncio.get_running_loop().time
        heard, held, until = generation.heard, generation.offsets(), clock() + OWNER_SECONDS
        RECOVERIES.labels("owner").inc()
        await self._attach(generation, generation.offsets())
        while clock() < until:
            await asyncio.sleep(LOOK_SECONDS)
            has_part = generation.most > 0 and generation.offsets() != held
            if generation.heard > heard and (has_part or not generation.gapped):
                return True
        return False

    async def _attach(self, generation: Pending, offsets: dict[str, int]) -> None:
        attach = AttachGeneration(
            request_id=generation.request_id, reply_to=self.process, offsets=offsets, most=self._most(generation)
        )
        await self.bus.broadcast(ATTACH_GENERATION, encode(attach, ATTACH_GENERATION.wire))

    def _most(self, generation: Pending) -> int:
        """What the process is sent is for all who wait in it: one that reads slowly holds up no other."""
        rooms = [other.most for other in self.waiting(str(generation.request_id))]
        return max(rooms) if rooms and all(rooms) else 0

    async def _unanswered(self, generation: Pending, limit: int) -> None:
        """A first execution writes no row, so one such answer says little: it may wait for its turn."""
        generation.unknown += 1
        # Again at twice as many and so on: the bus may forget it, and who runs it may die, more than once.
        is_due = generation.unknown >= limit and generation.unknown.bit_count() == 1
        if is_due and generation.command is not None:
            RECOVERIES.labels("publish").inc()
            try:
                await self.bus.publish(republished(generation.command))
            except BusUnavailable:
                generation.unknown -= 1  # it was not published: the next such answer is as good as this one
                raise
