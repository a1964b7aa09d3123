"""A platform in pieces: each server and each service may be killed by itself."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from penstock.platform.ports import LOOPBACK, free_ports
from penstock.platform.program import tie_to_parent
from penstock_api.domain.keys import digest_of
from penstock_common.messaging.connect import apply_topology
from tests.chaos.services import Role, Service
from tests.support.api import ADMIN, USER
from tests.support.databases import Databases, temporary_platform
from tests.support.servers import Server, nats_server, postgres_server, rabbitmq_server, scratch_folder

BUSES = {"nats": nats_server, "rabbitmq": rabbitmq_server}
VERIFIED, PREFIXED = "chaos/verified", "chaos/prefixed"
"""Models whose answers are taken over by verified regeneration, and by continuing what was delivered."""
NO_FSYNC = (("fsync", "off"), ("full_page_writes", "off"))
"""Processes die here, machines don't."""
MODULES = {"api": "penstock_api", "inference": "penstock_inference", "billing": "penstock_billing"}
PRICE = {"input": 0.4, "output": 1.2, "provider_input": 0.2, "provider_output": 0.6}


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything of one run."""

    home: Path
    bus: Server
    postgres: Server
    databases: Databases
    apis: list[Service]
    inferences: list[Service]
    billing: Service
    engine: str
    """Base URL of the engine."""

    @property
    def services(self) -> list[Service]:
        """All processes of the platform's own."""
        return [*self.apis, *self.inferences, self.billing]

    async def restart_bus(self) -> None:
        """kill -9, and start on the same store."""
        await asyncio.to_thread(self.bus.kill)
        await asyncio.to_thread(self.bus.start)

    async def restart_postgres(self) -> None:
        """An immediate stop, as after a crash: what was committed is there, and nothing else."""
        os.kill(self.postgres.pid, signal.SIGQUIT)
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.to_thread(self.postgres.start)


@asynccontextmanager
async def running(bus: str, modules: Mapping[str, str] = MODULES) -> AsyncIterator[Stack]:
    """A platform on one bus, ready for requests. `modules` may name others that are run as a service."""
    async with AsyncExitStack() as stack:
        home = scratch_folder("chaos")
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        servers = BUSES[bus](), postgres_server(*NO_FSYNC)
        for server in servers:
            stack.callback(server.dispose)
            await asyncio.to_thread(server.start)
        databases = await stack.enter_async_context(temporary_platform(_maintenance(servers[1])))
        await apply_topology(servers[0].url)
        engine = await stack.enter_async_context(_engine(home))
        services = _services(home, servers[0].url, databases, modules, engine)
        for service in services:
            stack.push_async_callback(service.stop)
            await service.start()
        await asyncio.gather(*(service.ready() for service in services))
        yield Stack(home, *servers, databases, services[:2], services[2:4], services[4], engine)


def _maintenance(postgres: Server) -> str:
    url: str = getattr(postgres.kind, "maintenance_url", postgres.url)
    return url


def _services(home: Path, bus: str, databases: Databases, modules: Mapping[str, str], engine: str) -> list[Service]:
    (home / "models.yaml").write_text(_models(engine))
    kinds = ("api", "api", "inference", "inference", "billing")
    ports = free_ports(len(kinds))
    made = []
    for index, (service, port) in enumerate(zip(kinds, ports, strict=True)):
        common = {"BUS__URL": bus, "DATABASE__URL": databases.services[service]}
        settings = common | _settings(service, home)
        made.append(Service(Role(service, kinds[:index].count(service), modules[service], settings, port), home))
    return made


def _settings(service: str, home: Path) -> dict[str, str]:
    keyring = {"KEYRING__PATH": str(home / "keyring")}
    if service == "api":
        keys = {
            "BOOTSTRAP__USER_KEY_SHA256": digest_of(USER).hex(),
            "BOOTSTRAP__ADMIN_KEY_SHA256": digest_of(ADMIN).hex(),
        }
        return keyring | keys | {"OBJECTS__PATH": str(home / "objects")}
    if service == "inference":
        folders = {"SECRETS__PATH": str(home / "secrets"), "SIM__PATH": str(home / "sim")}
        return keyring | folders | {"MODELS_FILE": str(home / "models.yaml")}
    return {}


def _models(engine: str) -> str:
    """The catalogue: the engine by two names, in two dialects."""
    common = {"url": f"{engine}/v1", "upstream_model": "chaos", "price": PRICE}
    models = [
        {"name": VERIFIED, "engine": "openai-compatible", **common},
        {"name": PREFIXED, "engine": "vllm", **common},
    ]
    return yaml.safe_dump({"models": models})


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
