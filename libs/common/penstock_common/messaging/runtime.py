"""Runs a service's handlers: each on its lane and its quarantine lane, by the runner that the topology names."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog

from penstock_common.errors import BusUnavailable, TopologyMissing
from penstock_common.messaging.batches import Batches
from penstock_common.messaging.binding import matched
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import Call, Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Bound, Bus, Front, Incoming, Subscription
from penstock_common.messaging.router import Registration, Router, bind
from penstock_common.messaging.topology import Consumer, Runner, Topology

log = structlog.get_logger()

PATIENCE = 30.0  # seconds to wait for the topology at start
PAUSE = 0.5


class Runtime:
    """One service process's subscriptions. Whoever made the bus closes it."""

    def __init__(self, bus: Bus, topology: Topology, router: Router, deps: Any) -> None:
        self.bus, self.topology, self.deps = bus, topology, deps
        self.delivery = Delivery(bus.settler)
        self._pairs = matched(topology, router)
        self._subscriptions: list[Subscription] = []
        self._guard: Subscription | None = None
        self._front: Front | None = None

    async def start(self, patience: float = PATIENCE) -> None:
        """Begin to receive. Raises TopologyMissing if the lanes don't exist within `patience` seconds."""
        lanes = [(registration, lane) for registration, row in self._pairs for lane in _lanes(row)]
        await self._await_topology([lane for _, lane in lanes], patience)
        if not lanes:
            return
        self._guard = await self.bus.guard(self.topology)
        plain = [(r, lane) for r, lane in lanes if lane.runner is Runner.PLAIN]
        for registration, lane in plain:
            self._subscriptions.append(await self._subscribe(registration, lane))
        if bounds := [self._bound(r, lane) for r, lane in lanes if lane.runner is Runner.FASTSTREAM]:
            self._front = self.bus.front(bounds, self.delivery)
            await self._front.start()

    async def stop(self, grace: float = 10.0) -> None:
        """Receive no more, give what runs `grace` seconds, hand back the rest."""
        await asyncio.gather(
            *(s.stop() for s in self._subscriptions), *([self._front.stop_receiving()] if self._front else [])
        )
        await self.delivery.inflight.drain(grace)
        if self._front:
            await self._front.stop()
        if self._guard:
            await self._guard.stop()

    async def _await_topology(self, lanes: Sequence[Consumer], patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                if not (absent := await self.bus.missing(lanes)):
                    return
                problem: Exception = TopologyMissing(
                    f"the bus has no consumer {', '.join(absent)}: run `penstock topology apply`"
                )
            except BusUnavailable as error:
                problem = error
            if time.monotonic() > deadline:
                raise problem
            log.info("topology.awaited", reason=str(problem))
            await asyncio.sleep(PAUSE)

    def _bound(self, registration: Registration, lane: Consumer) -> Bound:
        return Bound(lane, registration.contract, bind(registration.handler, self.deps))

    async def _subscribe(self, registration: Registration, lane: Consumer) -> Subscription:
        call = bind(registration.handler, self.deps)
        if lane.batch:
            return await self.bus.take(lane, Batches(self.delivery, _decoding_all(registration, call), lane).take)
        single = _decoding(registration, call)

        async def deliver(message: Incoming) -> None:
            await self.delivery.run(single, message, lane)

        return await self.bus.pull(lane, deliver)


def _lanes(row: Consumer) -> list[Consumer]:
    return [row, row.quarantine] if row.quarantine else [row]


def _decoding(registration: Registration, call: Any) -> Call:
    contract = registration.contract

    async def dead(message: Incoming) -> None:
        await call(DeadLetter.parse(message.headers, message.body))

    async def several(message: Incoming) -> None:
        await call([opened(message, contract)])

    async def single(message: Incoming) -> None:
        await call(opened(message, contract))

    if registration.dead:
        return dead
    return several if registration.size else single


def _decoding_all(registration: Registration, call: Any) -> Any:
    contract = registration.contract

    async def batch(messages: Sequence[Incoming]) -> None:
        await call([opened(message, contract) for message in messages])

    return batch
