"""Tasks: ordered through the outbox, read by query over the bus."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from penstock_api.adapters.worker_queries import ask_worker
from penstock_common.clock import Clock
from penstock_common.contracts.runs import ReadTasks, RemoveTask, SaveTask, TaskList, TaskShown
from penstock_common.db.transaction import Database
from penstock_common.errors import BusUnavailable, NoAnswer
from penstock_common.ids import uuid7
from penstock_common.messaging.ports import Bus
from penstock_common.sealing import Sealer

PATIENCE = 2.0  # seconds to wait until an order is carried out
POLL = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class TaskOrders:
    """Implements `Tasks`."""

    database: Database
    bus: Bus
    sealer: Sealer
    clock: Clock

    async def find(self, tenant: UUID, name: str) -> TaskShown | None:
        """See `Tasks`."""
        found = (await ask_worker(self.bus, ReadTasks(tenant=tenant, name=name), TaskList)).tasks
        return found[0] if found else None

    async def page(self, tenant: UUID, after: str, limit: int) -> TaskList:
        """See `Tasks`."""
        return await ask_worker(self.bus, ReadTasks(tenant=tenant, after=after, limit=limit), TaskList)

    async def save(self, tenant: UUID, name: str, declaration: dict[str, Any]) -> TaskShown | None:
        """See `Tasks`."""
        task_id, saved_at = uuid7(), self.clock.now()
        sealed = self.sealer.seal(tenant, str(task_id), msgspec.json.encode(declaration))
        command = SaveTask(task_id=task_id, tenant=tenant, name=name, sealed=sealed, saved_at=saved_at)
        async with self.database.transaction() as tx:
            tx.publish(command)
        done, shown = await self._until(tenant, name, lambda task: task is not None and task.saved_at >= saved_at)
        return shown if done else None

    async def remove(self, tenant: UUID, name: str) -> bool:
        """See `Tasks`."""
        async with self.database.transaction() as tx:
            tx.publish(RemoveTask(tenant=tenant, name=name, removed_at=self.clock.now()))
        done, _ = await self._until(tenant, name, lambda task: task is None)
        return done

    async def _until(
        self, tenant: UUID, name: str, met: Callable[[TaskShown | None], bool]
    ) -> tuple[bool, TaskShown | None]:
        """Whether worker shows in time what was ordered, and what it shows then."""
        with suppress(TimeoutError, BusUnavailable, NoAnswer):
            async with asyncio.timeout(PATIENCE):
                while True:
                    task = await self.find(tenant, name)
                    if met(task):
                        return True, task
                    await asyncio.sleep(POLL)
        return False, None
