"""Notices that the bus lost what the topology declares, makes it anew, and lets the services know."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from penstock_common.contracts.platform import BusRebuilt
from penstock_common.errors import BusUnavailable, TopologyRefused
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Outgoing, TopologyJob
from penstock_common.messaging.topology import Topic, Topology

LOOK_EVERY = 5.0  # seconds; a bus that was away is looked at as soon as it is back
PAUSE = 0.25  # seconds between attempts to reach it

Restored = Callable[[Sequence[str]], None]
"""Is told what was made or changed, one line each."""


def announcement(topic: Topic) -> Outgoing:
    """The word that everything which the bus held until now may be lost."""
    return envelop(BusRebuilt(rebuilt_at=datetime.now(UTC)), topic)


class TopologyKeeper:
    """Applies the topology again whenever something of it is missing, until it is cancelled."""

    def __init__(
        self,
        job: TopologyJob,
        topology: Topology,
        restored: Restored,
        refused: Callable[[str], None],
        look_every: float = LOOK_EVERY,
    ) -> None:
        """`refused` is told once why the topology can't be applied."""
        self._job, self._topology = job, topology
        self._restored, self._refused = restored, refused
        self._look_every, self._reason = look_every, ""

    async def run(self) -> None:
        """Look after the bus, also while it is away."""
        while True:
            with contextlib.suppress(BusUnavailable):
                async with self._job.looking(self._topology) as look:
                    while not look.gone.done():
                        if await look.lacks():
                            await self._apply()
                        await asyncio.wait([look.gone], timeout=self._look_every)
            await asyncio.sleep(PAUSE)

    async def _apply(self) -> None:
        try:
            changes = await self._job.apply(self._topology)
        except TopologyRefused as error:
            if self._reason != error.message:
                self._refused(error.message)
            self._reason = error.message
            return
        self._reason = ""
        if changes:
            self._restored(changes)
