"""Gathers the dead letters of all consumers, in as many processes of one service as run."""

from collections.abc import Awaitable, Callable

from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.one_lane import OneLane
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.messaging.topology import Topology
from penstock_common.periodic import Periodic

FORGET_SECONDS = 60.0

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
        self._readers = [lane for lane in topology.lanes if lane.is_dead_lane]
        self._forgetting = Periodic(FORGET_SECONDS, self.forget, "dead_letters.not_removed")

    def start(self) -> None:
        """Receive as soon as the lane is there."""
        super().start()
        self._forgetting.start()

    async def stop(self) -> None:
        """Receive no more; what is not handled yet is for the next process."""
        await self._forgetting.stop()
        await super().stop()

    async def collect(self, message: Incoming) -> None:
        """Keep what came."""
        await self._keep(DeadLetter.parse(message.headers, message.body))

    async def forget(self) -> None:
        """Have the bus let go of what is kept, and was told to whom it concerns. Raises BusUnavailable."""
        await self._bus.forget(self._readers)
