"""Whose turn it is in the queue, where a request stands in it, and how fast it moves.

Start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) among tenants: each turn of a tenant costs one over its
weight of virtual time, and the tenant that is served least by that clock goes next. Who comes new begins at the clock's
time, and so stands before all who were served already, however long their queues are.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from penstock_common.errors import Fault, PenstockError
from penstock_inference.domain.seats import ENTERPRISE

MEMORY_SECONDS = 60.0
"""How far back the pace looks."""
LEAST_SECONDS = 1.0
"""Of measuring, before a pace means something."""


class QueueFull(PenstockError):
    """The queue is full; nothing is charged. Send the request again later."""

    code = "inference.queue_full"
    fault = Fault.LIMITED
    retry_after = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests may wait, and what a tier counts."""

    tenant: int
    total: int
    enterprise_weight: int = 1

    def weight(self, tier: str) -> int:
        """Turns that a tenant takes while an ordinary one takes one."""
        return self.enterprise_weight if tier == ENTERPRISE else 1

    def room(self, tenant_waiting: int, waiting: int) -> int:
        """How many more of a tenant the queue takes."""
        return max(0, min(self.tenant - tenant_waiting, self.total - waiting))


@dataclass(frozen=True, slots=True)
class Share:
    """What a tenant has of the queue."""

    tenant: UUID
    waiting: int
    finish: float = 0.0
    """The virtual time at which its last turn was over."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Turns:
    """The tenants of the next turns in their order, and what follows from it."""

    order: list[UUID]
    virtual: float
    """The clock after the last of them."""
    finishes: dict[UUID, float]
    """Of those who took a turn."""


def turns(shares: Iterable[Share], virtual: float, free: int) -> Turns:
    """Who takes the next `free` turns, at most as many as each has waiting."""
    heap = [
        (max(virtual, share.finish), share.finish, share.tenant, share.waiting, 1 / share.weight)
        for share in shares
        if share.waiting
    ]
    heapq.heapify(heap)
    order: list[UUID] = []
    finishes: dict[UUID, float] = {}
    while heap and len(order) < free:
        start, _, tenant, waiting, cost = heap[0]
        order.append(tenant)
        virtual, finishes[tenant] = start, start + cost
        if waiting > 1:
            heapq.heapreplace(heap, (start + cost, start + cost, tenant, waiting - 1, cost))
        else:
            heapq.heappop(heap)
    return Turns(order, virtual, finishes)


def position(own: Share, ahead: int, others: Iterable[Share], virtual: float) -> int:
    """The place of a request, from 1, with `ahead` of its own tenant before it; of a tie it is the first."""
    start = max(virtual, own.finish) + ahead / own.weight
    before = sum(
        min(other.waiting, max(0, math.ceil((start - max(virtual, other.finish)) * other.weight))) for other in others
    )
    return 1 + ahead + before


@dataclass(frozen=True, slots=True)
class Pace:
    """How many queued requests ended of late: a count that fades with time."""

    ended: float = 0.0
    since: datetime | None = None
    """When the counting began; it begins anew after a while in which nothing ended."""
    measured_at: datetime | None = None

    def after(self, ended: int, now: datetime) -> "Pace":
        """The pace once so many more have ended."""
        if self.since is None or self.measured_at is None:
            return Pace(float(ended), now, now)
        passed = (now - self.measured_at).total_seconds()
        if passed > MEMORY_SECONDS:
            return Pace(float(ended), now, now)
        return Pace(self.ended * math.exp(-max(passed, 0.0) / MEMORY_SECONDS) + ended, self.since, now)

    def seconds_for(self, places: int, now: datetime) -> float | None:
        """How long as many ends take as there are places; None where nothing ended of late."""
        faded = self.after(0, now)
        if self.since is None or faded.since is not self.since:
            return None
        passed = (now - self.since).total_seconds()
        if passed < LEAST_SECONDS or faded.ended < 1:
            return None
        # What was counted so far is what a steady pace leaves after as long, so that a young count is not too low.
        rate = faded.ended / (MEMORY_SECONDS * -math.expm1(-passed / MEMORY_SECONDS))
        return places / rate
