"""The servers of a chaos run: how they fail, and what an operator does then."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from penstock.platform.leftovers import family
from tests.chaos.disks import Disk, make_disk
from tests.chaos.faults import BUS, POSTGRES
from tests.support.nats_cluster import NatsCluster
from tests.support.servers import Server


@dataclass(frozen=True, slots=True)
class Host:
    """A server and the disk that it keeps its data on."""

    name: str
    server: Server | NatsCluster
    disk: Disk
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever does something to the server."""

    async def crash(self) -> None:
        """Be gone at once, and start on the same data: what was committed is there, and nothing else."""
        async with self.turn:
            await self.start_again()

    async def start_again(self) -> None:
        """The same for whoever has the turn."""
        if self.name == POSTGRES and isinstance(self.server, Server):
            os.kill(self.server.pid, signal.SIGQUIT)
            await asyncio.to_thread(self.server.stop)
        else:
            await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)

    def kill_leader(self) -> None:
        """kill -9 of the node of a cluster that leads most; of the whole server where it is none."""
        if isinstance(self.server, NatsCluster):
            self.server.kill_leader()
        else:
            self.server.kill()

    def fill_disk(self) -> None:
        """From now on there is no room."""
        self.disk.fill(self._pids())

    def free_disk(self) -> None:
        """There is room again."""
        self.disk.free(self._pids())

    async def recover(self) -> None:
        """What an operator does after a full disk or a dead node: start again what does not work by itself.

        NATS switches JetStream off where its disk was full, until it is started again.
        """
        if self.name == BUS and isinstance(self.server, Server):
            await self.crash()
        elif isinstance(self.server, NatsCluster) or not self.server.alive:
            await asyncio.to_thread(self.server.start)

    def _pids(self) -> list[int]:
        return family(self.server.pid) if isinstance(self.server, Server) else []


async def equipped(stack: AsyncExitStack, name: str, server: Server | NatsCluster) -> Host:
    """A server that runs on a disk of its own, until the stack is left."""
    disk = await asyncio.to_thread(make_disk, server.home)
    stack.callback(disk.remove)
    stack.callback(server.dispose)
    await asyncio.to_thread(server.start)
    return Host(name, server, disk)
