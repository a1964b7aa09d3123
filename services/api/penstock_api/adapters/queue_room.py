"""What inference says of the queue, remembered for a second a tenant."""

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
TENANTS = 10_000


@dataclass(slots=True)
class Room:
    """A report, and how much of its room this process gave away since."""

    asking: "asyncio.Task[QueueReport | None]"
    until: float
    taken: int = 0


class QueueRoom:
    """Asks once a second at most for each tenant, however many requests want to know."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._rooms: OrderedDict[UUID, Room] = OrderedDict()

    async def take(self, tenant: UUID) -> tuple[QueueReport | None, int]:
        """The newest report, and how many requests this process has taken since; None where nobody answers.

        Inference refuses by itself what is too much: nothing here need be exact.
        """
        now = asyncio.get_running_loop().time()
        room = self._rooms.get(tenant)
        if room is None or room.until <= now:
            room = self._rooms[tenant] = Room(asyncio.create_task(self._ask(tenant)), now + FRESH_SECONDS)
            self._rooms.move_to_end(tenant)
            while len(self._rooms) > TENANTS:
                self._rooms.popitem(last=False)
        report = await asyncio.shield(room.asking)
        taken, room.taken = room.taken, room.taken + 1
        return report, taken

    async def _ask(self, tenant: UUID) -> QueueReport | None:
        try:
            return await ask_owner(self.bus, ReadQueue(tenant=tenant), QueueReport, ASK_SECONDS)
        except (NoAnswer, BusUnavailable, ContractViolated):
            return None
