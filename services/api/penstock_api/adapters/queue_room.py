"""What inference says of the queue, remembered for a second or two a tenant."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from penstock_api.adapters.asking import ask_owner
from penstock_common.contracts.queueing import QueueReport, ReadQueue
from penstock_common.errors import BusUnavailable, ContractViolated, NoAnswer
from penstock_common.messaging.ports import Bus

ASK_SECONDS = 0.3
FRESH_SECONDS = 1.0
KEPT_SECONDS = 2.0  # while it is asked anew, nobody waits for that who knows what was answered less long ago
TENANTS = 10_000


@dataclass(slots=True)
class Room:
    """A question, and how many requests this process has taken since it was asked."""

    asking: "asyncio.Task[QueueReport | None]"
    asked_at: float
    taken: int = 0

    def take(self) -> int:
        """One more; gives how many were taken before it."""
        taken, self.taken = self.taken, self.taken + 1
        return taken


@dataclass(slots=True)
class Rooms:
    """The newest question about a tenant, and one before it, whose answer counts until there is another."""

    newest: Room
    before: Room | None = None

    def answered(self, now: float) -> Room | None:
        """The question before, while there is no newer answer and its own is not too old."""
        before = self.before
        if before is None or self.newest.asking.done() or now - before.asked_at > KEPT_SECONDS:
            return None
        return before if before.asking.done() else None


class QueueRoom:
    """Asks once a second at most for each tenant, however many requests want to know."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._rooms: OrderedDict[UUID, Rooms] = OrderedDict()

    async def take(self, tenant: UUID) -> tuple[QueueReport | None, int]:
        """The newest report, and how many requests this process has taken since; None where nobody answers.

        Inference refuses by itself what is too much: nothing here need be exact. Whom an older report has no room for
        waits for the new one.
        """
        now = asyncio.get_running_loop().time()
        rooms = self._rooms.get(tenant)
        if rooms is None or now - rooms.newest.asked_at >= FRESH_SECONDS:
            rooms = self._ask_anew(tenant, now)
        taken = rooms.newest.take()
        if before := rooms.answered(now):
            report, taken_before = before.asking.result(), before.take()
            if report is None or taken_before < report.room:
                return report, taken_before
        return await asyncio.shield(rooms.newest.asking), taken

    def _ask_anew(self, tenant: UUID, now: float) -> Rooms:
        old = self._rooms.get(tenant)
        before = (old.answered(now) or old.newest) if old else None
        rooms = Rooms(Room(asyncio.create_task(self._ask(tenant)), now), before)
        self._rooms[tenant] = rooms
        self._rooms.move_to_end(tenant)
        while len(self._rooms) > TENANTS:
            self._rooms.popitem(last=False)
        return rooms

    async def _ask(self, tenant: UUID) -> QueueReport | None:
        try:
            return await ask_owner(self.bus, ReadQueue(tenant=tenant), QueueReport, ASK_SECONDS)
        except (NoAnswer, BusUnavailable, ContractViolated):
            return None
