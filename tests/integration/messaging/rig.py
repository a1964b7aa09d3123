"""What a test may do: send, run processes of the service, look at their journal and at the dead letters."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from penstock_common.contracts.base import encode
from penstock_common.errors import BusUnavailable
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus, Outgoing
from penstock_common.messaging.topology import Consumer, Topic

from tests.integration.messaging.shop import SHOP, Order
from tests.integration.messaging.sides import Side

ROOT = Path(__file__).parents[3]
Process = subprocess.Popen[bytes]


class Rig:
    """One test's view of a bus, the same for each."""

    def __init__(self, side: Side, folder: Path) -> None:
        self.side, self.folder = side, folder
        self.journal = folder / "journal"
        self.journal.touch()
        self.bus: Bus
        self._processes: list[Process] = []
        self._buses: list[Bus] = []

    async def open(self) -> None:
        """Connect the test itself."""
        self.bus = await self.connection()

    async def close(self) -> None:
        """End every process that the test began."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for bus in self._buses:
            await bus.close()

    async def connection(self, url: str = "") -> Bus:
        """One more bus connection, as another process would have it."""
        bus = await connect_bus(url or self.side.server.url, "test")
        self._buses.append(bus)
        return bus

    async def send(self, topic: Topic, do: str = "ok", *, body: bytes = b"", id_: str = "") -> str:
        """Publish until confirmed, as the relay does; gives the message's id."""
        id_ = id_ or str(uuid7())
        message = envelop(topic.contract(id=id_, do=do), topic, message_id=id_)  # type: ignore[call-arg]
        if body:
            message = Outgoing(message.subject, message.stream, id_, message.headers, body)
        while True:
            try:
                await self.bus.publish(message)
                return id_
            except BusUnavailable:
                await asyncio.sleep(0.1)

    async def send_many(self, topic: Topic, count: int, do: str = "ok") -> list[str]:
        """Publish several, one after the other."""
        return [await self.send(topic, do) for _ in range(count)]

    async def start(self, *, grace: float = 10.0, url: str = "") -> Process:
        """A process of the service, ready."""
        process = self.spawn(grace=grace, url=url)
        assert process.stdout
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n", (self.folder / "log").read_text()[-2000:]
        return process

    def spawn(self, *, grace: float = 10.0, url: str = "") -> Process:
        """A process of the service, perhaps never ready."""
        argv = [sys.executable, "-m", "tests.integration.messaging.service"]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*argv, url or self.side.server.url, str(self.journal), str(grace)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def lines(self) -> list[list[str]]:
        """The journal: time, pid, what, id."""
        return [line.split() for line in self.journal.read_text().splitlines()]

    def seen(self, what: str) -> list[str]:
        """The ids of everything started, or done."""
        return [id_ for _, _, written, id_ in self.lines() if written == what]

    def times(self, what: str, id_: str) -> list[float]:
        """When something happened to a message, in seconds."""
        return [float(at) for at, _, *written in self.lines() if written == [what, id_]]

    async def letters(self, consumer: Consumer, within: float = 0.0) -> Sequence[DeadLetter]:
        """Dead letters, once there are any or `within` seconds have passed."""
        deadline = time.monotonic() + within
        while not (found := await self.side.letters(consumer)) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return found

    async def apply(self) -> None:
        """Lay out what is missing."""
        await apply_topology(self.side.server.url, SHOP)

    async def restart_server(self) -> None:
        """kill -9, and start again on the same data."""
        await asyncio.to_thread(self.side.server.kill)
        await asyncio.to_thread(self.side.server.start)


async def until(check: Callable[[], object], within: float = 15.0) -> float:
    """Wait for something to become true; gives the seconds it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within, f"not within {within} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def until_async(check: Callable[[], Awaitable[object]], within: float = 15.0) -> float:
    """Wait for something that must be asked for."""
    began = time.monotonic()
    while not await check():
        assert time.monotonic() - began < within, f"not within {within} s"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def signal_to(process: Process, number: signal.Signals) -> None:
    """Kill, freeze or thaw a process."""
    os.kill(process.pid, number)


def order_body(id_: str, do: str = "ok") -> bytes:
    """An order's JSON."""
    return encode(Order(id=id_, do=do))


def peak(lines: list[list[str]]) -> int:
    """Most handlers at work at once."""
    running = most = 0
    for _, _, what, _ in lines:
        running += {"start": 1, "done": -1}.get(what, 0)
        most = max(most, running)
    return most
