"""A platform in pieces: each server, each service and each cable between them may be broken by itself."""

import asyncio
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.platform.ports import LOOPBACK, free_ports
from penstock.platform.program import tie_to_parent
from penstock_common.messaging.connect import apply_topology, keep_topology
from tests.chaos.acks import AMQP, NATS
from tests.chaos.equipment import MODULES, Wiring, roles
from tests.chaos.faults import BUS, CLUSTER, ENGINE, POSTGRES, PROCESSES, cable
from tests.chaos.hosts import Host, equipped
from tests.chaos.operator import Operator
from tests.chaos.proxy import Cable, ports_of
from tests.chaos.services import Service
from tests.support.databases import Databases, temporary_platform
from tests.support.nats_cluster import NatsCluster
from tests.support.servers import Server, nats_server, postgres_server, rabbitmq_server, scratch_folder

BUSES: dict[str, Callable[[], Server | NatsCluster]] = {
    "nats": nats_server,
    "rabbitmq": rabbitmq_server,
    CLUSTER: NatsCluster,
}
NO_FSYNC = (("fsync", "off"), ("full_page_writes", "off"), ("max_wal_size", "256MB"))
"""Processes die here, machines don't."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything of one run."""

    home: Path
    hosts: dict[str, Host]
    databases: Databases
    services: list[Service]
    cables: dict[str, Cable]
    """By name."""
    engine: str
    """Base URL of the engine."""
    restored: list[str]
    """What the bus had lost and was made anew, as a running platform does by itself."""

    @property
    def apis(self) -> list[Service]:
        """The processes that clients talk to."""
        return [service for service in self.services if service.role.service == "api"]

    def service(self, name: str) -> Service:
        """A process by its name."""
        return next(service for service in self.services if service.role.name == name)

    @property
    def logs(self) -> list[Path]:
        """Of services and servers."""
        return [*self.home.glob("*.log"), *(log for host in self.hosts.values() for log in host.server.logs)]


@asynccontextmanager
async def running(bus: str, seed: int, modules: Mapping[str, str] = MODULES) -> AsyncIterator[Stack]:
    """A platform on one bus, ready for requests. `modules` may name others that are run as a service."""
    async with AsyncExitStack() as stack:
        home = scratch_folder("chaos")
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        made = postgres_server(*NO_FSYNC)
        hosts = {BUS: await equipped(stack, BUS, BUSES[bus]()), POSTGRES: await equipped(stack, POSTGRES, made)}
        databases = await stack.enter_async_context(temporary_platform(_maintenance(made)))
        await apply_topology(hosts[BUS].server.url)
        restored: list[str] = []
        keeping = asyncio.create_task(keep_topology(hosts[BUS].server.url, restored.extend, restored.append))
        stack.callback(keeping.cancel)
        tending = asyncio.create_task(Operator(hosts[BUS], restored.append).tend())
        stack.callback(tending.cancel)
        engine = await stack.enter_async_context(_engine(home))
        cables = _cables(hosts, engine, random.Random(f"cables {seed}"))
        for each in cables.values():
            await stack.enter_async_context(each.laid())
        wiring = Wiring(hosts[BUS].server.url, databases.services, {name: each.port for name, each in cables.items()})
        services = [Service(role, home) for role in roles(home, wiring, modules)]
        for service in services:
            stack.push_async_callback(service.stop)
            await service.start()
        await asyncio.gather(*(service.ready() for service in services))
        yield Stack(home, hosts, databases, services, cables, engine, restored)


def _cables(hosts: Mapping[str, Host], engine: str, chance: random.Random) -> dict[str, Cable]:
    """From each process to the servers that it asks, and from all of inference to the engine."""
    servers = {name: host.server for name, host in hosts.items()}
    names = [f"{service}-{number}" for service, count in PROCESSES.items() for number in range(count)]
    framing = AMQP if servers[BUS].url.startswith("amqp") else NATS
    cables = {cable(name, BUS): Cable(ports_of(servers[BUS].urls), framing, chance) for name in names}
    cables |= {cable(name, POSTGRES): Cable(ports_of(servers[POSTGRES].urls), None, chance) for name in names}
    return cables | {cable("inference", ENGINE): Cable(ports_of([engine]), None, chance)}


def _maintenance(postgres: Server) -> str:
    url: str = getattr(postgres.kind, "maintenance_url", postgres.url)
    return url


@asynccontextmanager
async def _engine(home: Path) -> AsyncIterator[str]:
    """The engine's process."""
    (port,) = free_ports(1)
    with (home / "engine.log").open("ab") as log:
        command = (sys.executable, "-m", "tests.chaos.engine", str(port))
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, start_new_session=True, preexec_fn=tie_to_parent(signal.SIGKILL)
        )
    try:
        async with asyncio.timeout(30):
            while not await _listens(port):
                await asyncio.sleep(0.05)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
