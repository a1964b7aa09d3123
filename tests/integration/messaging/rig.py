"""What a test may do: send, run processes of the service, look at their journal and at the dead letters."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from penstock_common.errors import BusUnavailable
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus, Outgoing
from penstock_common.messaging.topology import Consumer, Topic
from tests.integration.messaging.service import serve
from tests.integration.messaging.shop import SHOP
from tests.integration.messaging.sides import Side
from tests.support.forks import FORKS

Process = ForkServerProcess


class Rig:
    """One test's view of a bus, the same for each."""

    def __init__(self, side: Side, folder: Path) -> None:
        self.side, self.folder = side, folder
        self.journal = folder / "journal"
        self.log = folder / "log"
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
            process.kill()
            process.join()
        for bus in self._buses:
            await bus.close()

    async def connection(self, url: str = "") -> Bus:
        """One more bus connection, as another process would have it."""
        bus = await connect_bus(url or self.side.server.url, "test")
        self._buses.append(bus)
        return bus

    async def send(self, topic: Topic, do: str = "ok", *, body: bytes | None = None, id_: str = "") -> str:
        """Publish until confirmed, as the relay does; gives the message's id."""
        id_ = id_ or str(uuid7())
        message = envelop(topic.contract(id=id_, do=do), topic, message_id=id_)
        if body is not None:
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
        process = await self.spawn(grace=grace, url=url)
        await until(lambda: self.is_ready(process) or process.exitcode is not None, 20)
        assert process.exitcode is None, self.said()[-2000:]
        return process

    async def spawn(self, *, grace: float = 10.0, url: str = "") -> Process:
        """A process of the service, perhaps never ready."""
        given = (url or self.side.server.url, self.journal, self.log, grace)
        process = FORKS.Process(target=serve, args=given)
        await asyncio.to_thread(process.start)
        self._processes.append(process)
        return process

    def is_ready(self, process: Process) -> bool:
        """Whether a process receives by now."""
        return any(pid == str(process.pid) and what == "ready" for _, pid, what, _ in self.lines())

    def said(self) -> str:
        """What the processes logged."""
        return self.log.read_text()

    def lines(self) -> list[list[str]]:
        """The journal: time, pid, what, id. A line that is being written is not one yet."""
        return [line.split() for line in self.journal.read_text().split("\n")[:-1]]

    def seen(self, what: str) -> list[str]:
        """The ids of everything started, or done."""
        return [id_ for _, _, written, id_ in self.lines() if written == what]

    def times(self, what: str, id_: str) -> list[float]:
        """When something happened to a message, in seconds."""
        return [float(at) for at, _, *written in self.lines() if written == [what, id_]]

    async def begun(self, id_: str) -> Process:
        """Wait until a message was started; gives the process that has it."""
        await until(lambda: id_ in self.seen("start"))
        pid = next(int(pid) for _, pid, *written in self.lines() if written == ["start", id_])
        return next(process for process in self._processes if process.pid == pid)

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
    assert process.pid
    os.kill(process.pid, number)


async def ended(process: Process, within: float = 20.0) -> int:
    """Wait for the end of a process; gives its exit code."""
    await until(lambda: process.exitcode is not None, within)
    assert process.exitcode is not None
    return process.exitcode


def peak(lines: list[list[str]]) -> int:
    """Most handlers at work at once."""
    running = most = 0
    for _, _, what, _ in lines:
        running += {"start": 1, "done": -1}.get(what, 0)
        most = max(most, running)
    return most
