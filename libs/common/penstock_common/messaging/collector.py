"""Gathers the dead letters of all consumers, in as many processes of one service as run."""

from collections.abc import Awaitable, Callable

from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.one_lane import OneLane
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.messaging.topology import Topology

Keep = Callable[[DeadLetter], Awaitable[None]]
"""Keeps a letter for good before it returns; is given some twice. What it raises has the letter delivered again."""


class Collector(OneLane):
    """Acknowledges a letter once it is kept elsewhere: one that can't be kept now stays on the bus."""

    def __init__(self, bus: Bus, topology: Topology, keep: Keep) -> None:
        """Raises ValueError for a topology whose dead letters nobody collects."""
        if topology.collector is None:
            raise ValueError("this topology has no lane of all dead letters")
        super().__init__(bus, topology.collector, self.collect)
        self._keep = keep

    async def collect(self, message: Incoming) -> None:
        """Keep what came."""
        await self._keep(DeadLetter.parse(message.headers, message.body))
