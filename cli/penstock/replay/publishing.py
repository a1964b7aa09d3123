"""Publishes what a plan wants, no faster than told, and keeps how far it is."""

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar

from penstock.platform.errors import PlatformError
from penstock.progress import Advance
from penstock.replay.kept import ActFile, Kept
from penstock.replay.source import Source
from penstock_common.errors import Fault, PenstockError
from penstock_common.events.event import StoredEvent
from penstock_common.messaging.ports import Bus, Outgoing

MOST = 256  # messages that leave together
SHARE = 4  # bursts a second, at the least
PATIENCE = 60.0  # seconds that the bus may take nothing
PAUSE = 0.5


class ReplayHalted(PlatformError):
    """The bus does not take what is said again."""

    code = "cli.replay_halted"
    fault = Fault.UNAVAILABLE
    exit_status: ClassVar[int] = 4


class Replayer:
    """One act on one bus. A message that was published but not noted is published again, under the same id."""

    def __init__(self, bus: Bus, file: ActFile, kept: Kept, rate: float) -> None:
        """`rate` is in messages a second."""
        self.bus, self.file, self.kept, self._rate = bus, file, kept, rate
        self._burst = max(1, min(MOST, int(rate / SHARE)))
        self._free_at = 0.0

    async def publish(self, source: Source, advance: Advance) -> None:
        """Publish what is left. Raises ReplayHalted, and what reading raises."""
        burst: list[StoredEvent] = []
        async for event in source.events(self.kept.after):
            if self.kept.plan.wants(event):
                burst.append(event)
            if len(burst) == self._burst:
                await self._leave(burst, advance)
                burst = []
        if burst:
            await self._leave(burst, advance)
        self.kept.done = True
        self.kept.damaged = sorted({*self.kept.damaged, *source.damaged})
        self.file.save(self.kept)

    async def _leave(self, burst: Sequence[StoredEvent], advance: Advance) -> None:
        await self._wait_turn(len(burst))
        await self._confirmed([self.kept.plan.outgoing(event) for event in burst])
        self.kept.passed([event.subject for event in burst], burst[-1].id)
        self.file.save(self.kept)
        for _ in burst:
            advance()

    async def _wait_turn(self, count: int) -> None:
        now = time.monotonic()
        await asyncio.sleep(max(0.0, self._free_at - now))
        self._free_at = max(self._free_at, now) + count / self._rate

    async def _confirmed(self, messages: Sequence[Outgoing]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            errors = await self.bus.publish_all(messages)
            refused = [(m, error) for m, error in zip(messages, errors, strict=True) if error]
            if not refused:
                return
            message, error = refused[0]
            if not error.fault.passes or time.monotonic() > deadline:
                raise self._halted(message, error)
            messages = [message for message, _ in refused]
            await asyncio.sleep(PAUSE)

    def _halted(self, message: Outgoing, error: PenstockError) -> ReplayHalted:
        act = self.kept.plan.act
        return ReplayHalted(
            f"The bus did not take {message.message_id} of {message.subject}: {error.message}. "
            f"{self.kept.published} were published; go on with: penstock events replay --resume {act}"
        )
