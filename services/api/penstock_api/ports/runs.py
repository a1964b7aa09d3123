"""Tasks and runs, as routes use them."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from penstock_common.contracts.runs import RunList, RunReport, TaskList, TaskShown


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWish:
    """A run to be started."""

    tenant: UUID
    key_id: UUID
    task: str = ""
    """A declared task's name; empty where the declaration comes along."""
    declaration: dict[str, Any] | None = None
    input: Any = None
    idempotency_key: str = ""
    depth: int = 0
    """Runs above it."""


class Runs(Protocol):
    """Asks worker, their owner. Every method raises BusUnavailable or NoAnswer, unless it says otherwise."""

    async def start(self, wish: RunWish) -> UUID:
        """The run's id: the order is kept. Raises DatabaseUnavailable, IdempotencyKeyReused."""

    async def read(self, tenant: UUID, run_id: UUID, after: int = 0, limit: int = 1) -> RunReport:
        """A run and what of its journal follows a version. Raises RunNotFound."""

    async def page(self, tenant: UUID, before: UUID | None, limit: int, task: str) -> RunList:
        """The newest runs."""

    async def cancel(self, tenant: UUID, run_id: UUID) -> RunReport:
        """The run, ended where that could be done in time. Raises RunNotFound, DatabaseUnavailable."""

    def watching(self, run_id: UUID) -> AbstractContextManager[asyncio.Event]:
        """An event that is set whenever something became of a run. Raises Busy."""


class Tasks(Protocol):
    """Asks worker, their owner. Every method raises BusUnavailable or NoAnswer, unless it says otherwise."""

    async def find(self, tenant: UUID, name: str) -> TaskShown | None:
        """One task with its declaration."""

    async def page(self, tenant: UUID, after: str, limit: int) -> TaskList:
        """Tasks by name, without their declarations."""

    async def save(self, tenant: UUID, name: str, declaration: dict[str, Any]) -> TaskShown | None:
        """The task as saved; None where the order is kept, but not yet carried out. Raises DatabaseUnavailable."""

    async def remove(self, tenant: UUID, name: str) -> bool:
        """Whether it is gone; False where the order is kept, but not yet carried out. Raises DatabaseUnavailable."""
