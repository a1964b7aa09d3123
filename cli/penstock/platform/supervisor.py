"""Everything of one platform started in order, kept alive, and stopped in order."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.platform import leftovers
from penstock.platform.asking import is_ok
from penstock.platform.bus_watch import BusWatch
from penstock.platform.child import Child, Probe
from penstock.platform.credentials import SERVICES, load_credentials
from penstock.platform.folder import DataFolder
from penstock.platform.logs import Console, Log
from penstock.platform.ports import LOOPBACK, open_port
from penstock.platform.preparing import run_prepare
from penstock.platform.program import Program
from penstock.platform.servers import Addresses, Server, plan
from penstock.platform.services import Wiring
from penstock.platform.state import SUPERVISOR, State

GRACE = 12.0  # seconds; a service gives its running work ten
ANY_PORT = 0
STOP_ORDER = (("api", "scheduler"), ("worker", "indexer"), ("inference", "billing"), ("nats", "postgres"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `penstock up` was asked for."""

    data: Path | None = None
    port: int | None = None
    discover: bool = True
    tools: Sequence[str] = ()
    bus: str | None = None
    database: str | None = None
    otlp: str | None = None


class Supervisor:
    """The processes of one platform."""

    def __init__(self, folder: DataFolder, options: Options, console: Console) -> None:
        self._folder = folder
        self._options = options
        self._console = console
        self._ledger = leftovers.Ledger(folder.processes)
        self._children: dict[str, Child] = {}
        self._listeners: dict[str, socket.socket] = {}
        self._bus: BusWatch | None = None

    async def start(self) -> State:
        """Start all; raises PlatformError with the reason where one of them does not become ready."""
        self._clear_earlier_run()
        self._listeners = {"api": open_port(self._options.port)}
        self._listeners |= {service: open_port(None, ANY_PORT) for service in SERVICES if service != "api"}
        self._console.say("penstock", f"starting in {self._folder.root}; a first start takes some seconds more")
        addresses, servers = plan(self._folder, self._options.bus, self._options.database)
        wiring = self._wiring(addresses)
        services = [await self._spawn(wiring.program(service), shown=True) for service in SERVICES]
        await asyncio.gather(run_prepare(addresses, self._folder.logs), *map(self._start_server, servers))
        await asyncio.gather(*(self._begin(child, wiring) for child in services))
        state = _state(addresses, wiring)
        for child in self._children.values():
            child.guard()
        self._bus = BusWatch(self._folder, self._console, addresses.bus)
        self._bus.start()
        state.save(self._folder)
        return state

    async def stop(self) -> None:
        """Stop all, those that others depend on last."""
        self._folder.state.unlink(missing_ok=True)
        for listener in self._listeners.values():
            listener.close()
        if self._bus:
            await self._bus.stop()
        for names in STOP_ORDER:
            there = [self._children[name] for name in names if name in self._children]
            await asyncio.gather(*(child.stop(GRACE) for child in there))
        self._ledger.clear()

    def hasten(self) -> None:
        """End at once what still runs."""
        for child in self._children.values():
            child.signal(child.program.hurry_signal)

    def _clear_earlier_run(self) -> None:
        self._folder.state.unlink(missing_ok=True)
        marks = leftovers.read_marks(self._folder.processes)
        postgres = [marks.pop("postgres")] if "postgres" in marks else []
        leftovers.end(marks.values())
        leftovers.end(postgres, signal.SIGINT)
        self._ledger.add(SUPERVISOR, os.getpid())

    async def _start_server(self, server: Server) -> None:
        await asyncio.to_thread(server.prepare)
        child = await self._spawn(server.program(), shown=False, clear=server.prepare)
        await child.ready(server.is_ready)
        self._console.say("penstock", f"{server.name} is ready")

    def _wiring(self, addresses: Addresses) -> Wiring:
        return Wiring(
            folder=self._folder,
            bus=addresses.bus,
            databases=addresses.databases,
            listeners=self._listeners,
            credentials=load_credentials(self._folder),
            discover=self._options.discover,
            tools=self._options.tools,
            otlp=self._options.otlp,
            log_format="console" if sys.stderr.isatty() else "json",
        )

    async def _begin(self, service: Child, wiring: Wiring) -> None:
        service.release()
        await service.ready(_ready_at(wiring.port(service.name)))

    async def _spawn(self, program: Program, *, shown: bool, clear: Callable[[], None] = lambda: None) -> Child:
        log = Log(program.name, self._folder.logs, self._console if shown else None)
        child = self._children[program.name] = Child(program, log, self._ledger, self._console, clear)
        await child.start()
        return child


def _state(addresses: Addresses, wiring: Wiring) -> State:
    return State(
        base_url=f"http://{LOOPBACK}:{wiring.port('api')}",
        api_key=wiring.credentials.api_key,
        admin_key=wiring.credentials.admin_key,
        data=str(wiring.folder.root),
        bus=addresses.bus,
        database=addresses.database,
        audit_database=addresses.audit_database,
    )


def _ready_at(port: int) -> Probe:
    async def probe(_pid: int) -> bool:
        return await is_ok(f"http://{LOOPBACK}:{port}/readyz")

    return probe
