"""Who waits for news of which run."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from penstock_api.domain.errors import Busy
from penstock_common.contracts.base import decode
from penstock_common.contracts.runs import RunChanged
from penstock_common.errors import PenstockError
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.topology import RUN_CHANGED

MOST = 2000
"""Streams of runs that one process holds open."""


class RunWatch:
    """Hears of every change of a run once for the whole process."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._watching: dict[UUID, set[asyncio.Event]] = {}
        self._open = 0
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Listen. Raises BusUnavailable."""
        self._subscription = await self.bus.listen(RUN_CHANGED, self._changed)

    async def stop(self) -> None:
        """Listen no more, and let those who wait look for themselves."""
        if self._subscription:
            with suppress(PenstockError):
                await self._subscription.stop()

    @contextmanager
    def watching(self, run_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever something became of a run. Raises Busy."""
        if self._open >= MOST:
            raise Busy
        event, self._open = asyncio.Event(), self._open + 1
        self._watching.setdefault(run_id, set()).add(event)
        try:
            yield event
        finally:
            self._open -= 1
            self._watching[run_id].discard(event)
            if not self._watching[run_id]:
                del self._watching[run_id]

    async def _changed(self, body: bytes) -> None:
        for event in self._watching.get(decode(RunChanged, body, RUN_CHANGED.wire).run_id, ()):
            event.set()
