"""The servers of a chaos run: how they fail, and what an operator does then."""

import asyncio
import json
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import quote

from penstock.platform.leftovers import family
from tests.chaos.disks import Disk, make_disk
from tests.chaos.faults import BUS, POSTGRES
from tests.support.nats_cluster import NatsCluster
from tests.support.rabbitmq import RabbitServer, ask
from tests.support.servers import Server

SETTLED = 5.0  # seconds in which a queue has a leader, or never will


@dataclass(frozen=True, slots=True)
class Host:
    """A server and the disk that it keeps its data on."""

    name: str
    server: Server | NatsCluster
    disk: Disk
    deleted: list[str] = field(default_factory=list)
    """Queues that RabbitMQ could not open again, and that were therefore deleted."""

    async def crash(self) -> None:
        """Be gone at once, and start on the same data: what was committed is there, and nothing else.

        RabbitMQ may be unable to open a queue that was written to a full disk, or that was made a moment before. An
        operator deletes what `penstock doctor` names then, and the platform makes it anew.
        """
        if self.name == POSTGRES and isinstance(self.server, Server):
            os.kill(self.server.pid, signal.SIGQUIT)
            await asyncio.to_thread(self.server.stop)
        else:
            await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)
        self.deleted.extend(await asyncio.to_thread(self._delete_damaged))

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

    def _delete_damaged(self) -> list[str]:
        """The names of quorum queues that stay without a leader, once they are deleted."""
        if not (isinstance(self.server, Server) and isinstance(self.server.kind, RabbitServer)):
            return []
        api, end = self.server.kind.api, time.monotonic() + SETTLED
        while (damaged := _without_leader(api)) and time.monotonic() < end:
            time.sleep(0.2)
        for name in damaged:
            ask(api, f"/queues/%2F/{quote(name, safe='')}", "DELETE")
        return damaged


def _without_leader(api: str) -> list[str]:
    queues = json.loads(ask(api, "/queues?disable_stats=true&enable_queue_totals=true"))
    return [queue["name"] for queue in queues if queue.get("type") == "quorum" and not queue.get("online")]


async def equipped(stack: AsyncExitStack, name: str, server: Server | NatsCluster) -> Host:
    """A server that runs on a disk of its own, until the stack is left."""
    disk = await asyncio.to_thread(make_disk, server.home)
    stack.callback(disk.remove)
    stack.callback(server.dispose)
    await asyncio.to_thread(server.start)
    return Host(name, server, disk)
