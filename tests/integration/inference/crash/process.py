"""Inference processes, forked from one that has been one before: so each begins within a tenth of a second.

The file `orders` in its folder has the `Orders` of that one as JSON; each file `<name>/orders` that appears has those
of several.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from penstock_common.contracts.generation import GenerateText
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import DELIVERED
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Bound, Incoming
from penstock_common.messaging.topology import Consumer
from penstock_common.service import begin
from penstock_inference.app import App
from tests.integration.inference.crash.points import Points
from tests.support.inference import make_inference

ORDERS, READY, TOOK, GO, STATUS = "orders", "ready", "took", "go", "status"
LOOK_SECONDS = 0.05
Wait = Callable[[str, Incoming], Awaitable[None]]
AT_ONCE = 3
"""Processes that start at the same time: each does once what the others then wait for."""


class Orders(msgspec.Struct, frozen=True):
    """What one process is to do."""

    database: str
    bus: str
    folder: str
    notes: str
    """The folder where it tells how far it is, by files."""
    lanes: list[str]
    """Handlers whose deliveries it takes."""
    slots: int = 1
    """Deliveries at once; where there is only one, it waits for the file `go` before it handles it."""
    die_at: str = ""
    pause_at: str = ""


class Crasher:
    """One process's life."""

    def __init__(self, orders: Orders) -> None:
        self.orders, self.notes = orders, Path(orders.notes)
        self.app = make_inference(orders.database, orders.bus, Path(orders.folder))
        self.points = Points(self.notes, orders.die_at, orders.pause_at)

    async def live(self) -> None:
        """Work until killed."""
        narrow(self.app, self.orders, self._wait_for)
        await begin(self.app)
        model = self.app.catalogue.resolve("sim/fast")
        assert model
        self.points.watch_app(self.app, model)
        (self.notes / READY).write_text(str(os.getpid()))
        await asyncio.Event().wait()

    async def _wait_for(self, request_id: str, message: Incoming) -> None:
        """Tell which request came, and begin together with the others."""
        if self.points.own or self.orders.slots > 1:
            return
        (self.notes / TOOK).write_text(request_id)
        while not (self.notes.parent / GO).exists():
            self.app.bus.settler.extend([message])
            await asyncio.sleep(LOOK_SECONDS)
        self.points.own = request_id
        self.points.passed("received")


class Nothing:
    """The subscription to a lane that is left to others."""

    async def stop(self) -> None:
        """There is nothing to stop."""


async def at_once(_: str, __: Incoming) -> None:
    """Wait for nothing."""


def narrow(app: App, orders: Orders, wait: Wait = at_once) -> None:
    """Receive only what the orders name, and no more at once; `wait` comes before each delivery is handled."""
    bus: Any = app.bus
    pull, front = bus.pull, bus.front

    def takes(lane: Consumer) -> bool:
        return lane.handler in orders.lanes

    def sized(lane: Consumer) -> Consumer:
        return replace(lane, concurrency=orders.slots)

    async def pulling(lane: Consumer, deliver: Callable[[Incoming], Awaitable[None]]) -> Any:
        async def begun(message: Incoming) -> None:
            await wait(request_of(message, lane), message)
            await deliver(message)

        return await pull(sized(lane), begun) if takes(lane) else Nothing()

    def begun(bound: Bound) -> Bound:
        async def call(given: Any) -> None:
            delivered = DELIVERED.get()
            assert delivered
            await wait(str(given.request_id), delivered[1][0])
            await bound.call(given)

        return Bound(sized(bound.lane), bound.contract, call)

    def fronting(bounds: Sequence[Bound], delivery: Any) -> Any:
        return front([begun(bound) for bound in bounds if takes(bound.lane)], delivery)

    bus.pull, bus.front = pulling, fronting


def request_of(message: Incoming, lane: Consumer) -> str:
    """The request that a delivery is about."""
    if lane.is_dead_lane:
        return str(DeadLetter.parse(message.headers, message.body).decode(GenerateText).request_id)
    given: Any = opened(message, lane.topic.contract)
    return str(given.request_id)


async def live(orders: Orders) -> None:
    """Until killed."""
    await Crasher(orders).live()


async def once(orders: Orders) -> None:
    """Begin and stop, which loads whatever a process loads at its first need."""
    app = make_inference(orders.database, orders.bus, Path(orders.folder))
    narrow(app, orders)
    await begin(app)
    await app.stop()


class Host:
    """Forks processes, and writes down how each ended."""

    def __init__(self) -> None:
        self.living: dict[int, Orders] = {}

    def fork(self, file: Path) -> None:
        """Begin the processes of one file, a few at a time."""
        for orders in msgspec.json.decode(file.read_bytes(), type=list[Orders]):
            if not (pid := os.fork()):
                asyncio.run(live(orders))
            self.living[pid] = orders
            while len([each for each in self.living.values() if not (Path(each.notes) / READY).exists()]) >= AT_ONCE:
                self.reap()
                time.sleep(LOOK_SECONDS)

    def reap(self) -> None:
        """Note those that died."""
        while self.living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            notes = Path(self.living.pop(pid).notes)
            (notes / STATUS).write_text(str(os.waitstatus_to_exitcode(status)))


def main(folder: Path) -> None:
    """Look for orders until killed, as the first of a process group."""
    os.setsid()
    with (folder / "log").open("wb") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    asyncio.run(once(msgspec.json.decode((folder / ORDERS).read_bytes(), type=Orders)))
    host, done = Host(), set[Path]()
    while True:
        for file in sorted({*folder.glob(f"*/{ORDERS}")} - done):
            done.add(file)
            host.fork(file)
        host.reap()
        time.sleep(LOOK_SECONDS)
