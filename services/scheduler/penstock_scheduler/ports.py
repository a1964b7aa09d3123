"""What the scheduler needs of the outside."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from penstock_common.contracts.base import Contract
from penstock_common.contracts.schedules import Misfire, RemoveSchedule, SaveSchedule, Timing
from penstock_scheduler.domain.planning import Known, Plan


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose next moment has come."""

    id: UUID
    tenant: UUID
    key_id: UUID
    task: str
    timing: Timing
    misfire: Misfire
    next_at: datetime
    sealed: bytes


class Claim(Protocol):
    """Due schedules, locked for this process until the end of the transaction that holds them."""

    @property
    def due(self) -> Sequence[DueSchedule]:
        """Those longest due first."""

    async def carry_out(self, schedule: DueSchedule, plan: Plan) -> int:
        """Write its ticks with the orders of their runs, and move it on; returns the bytes written.

        A tick that was written before orders nothing. Raises SubjectErased, ContractViolated for an unreadable input.
        """

    async def put_off(self, schedule: DueSchedule, until: datetime) -> None:
        """Leave a schedule alone for a while, its ticks unwritten."""


class Schedules(Protocol):
    """The schedules of every tenant. Every method raises DatabaseUnavailable."""

    def claim(self, now: datetime, limit: int) -> AbstractAsyncContextManager[Claim]:
        """Open a transaction on schedules due by now that no other process holds; it commits with the block."""

    async def earliest(self) -> datetime | None:
        """When the next schedule is to be looked at."""


class Entry(Protocol):
    """One schedule in an open transaction, which no other handler changes meanwhile."""

    async def known(self) -> Known | None:
        """The schedule as it is; waits for a handler or a tick that has it."""

    async def save(self, command: SaveSchedule, timing: Timing, next_at: datetime | None) -> int | None:
        """Its new version; None where it was removed, or a later command was faster."""

    async def remove(self, removed_at: datetime) -> int | None:
        """The version it had, or None; a command to save it that is still on its way will find it removed."""

    def publish(self, message: Contract) -> None:
        """Publish once the transaction commits."""


class Deps(Protocol):
    """What a handler is given."""

    def entry(self, command: SaveSchedule | RemoveSchedule) -> AbstractAsyncContextManager[Entry]:
        """Begin with the command's inbox row; commit at the end of the block, and look at what is due then."""
