"""Ends generations whose clients have left, wherever the others of their clients might be."""

import asyncio
from collections.abc import Container
from uuid import UUID

from penstock_api.adapters.asking import ask_owner
from penstock_api.adapters.cancels import Cancels
from penstock_api.adapters.open_generation import Request
from penstock_common.contracts.generation import CancelGeneration, FindRequest, RequestFound
from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.messaging.ports import Bus

HOLDER_SECONDS = 0.25  # a process that holds the request answers within this time


class Leaving:
    """Stops what nobody waits for any more, on this process or another one."""

    def __init__(self, process: str, bus: Bus, cancels: Cancels, held: Container[UUID]) -> None:
        self.process, self.bus, self.cancels, self.held = process, bus, cancels, held
        self._under_way: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Look for nobody any more: whoever still comes back finds another process."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def left(self, request: Request, reason: str, after: float = 0.0) -> None:
        """Stop the generation, unless somebody else waits for it when `after` seconds have passed."""
        task = asyncio.create_task(self._stop_unheld(request, reason, after))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def cancel(self, request: Request, reason: str) -> None:
        """Stop the generation, whoever waits for it."""
        self.cancels.add(CancelGeneration(request_id=request.request_id, tenant=request.about.tenant, reason=reason))

    async def _stop_unheld(self, request: Request, reason: str, after: float) -> None:
        await asyncio.sleep(after)
        if request.request_id not in self.held and not await self._held_elsewhere(request.request_id):
            self.cancel(request, reason)

    async def _held_elsewhere(self, request_id: UUID) -> bool:
        find = FindRequest(request_id=request_id, asking=self.process)
        try:
            await ask_owner(self.bus, find, RequestFound, HOLDER_SECONDS)
        except (NoAnswer, BusUnavailable):
            return False
        return True
