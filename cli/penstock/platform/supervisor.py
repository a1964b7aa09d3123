"""Everything of one platform started in order, kept alive, and stopped in order."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.platform import leftovers
from penstock.platform.audit_watch import NAME as AUDIT
from penstock.platform.audit_watch import AuditWatch
from penstock.platform.bus_watch import BusWatch
from penstock.platform.child import Child
from penstock.platform.chosen_bus import EMBEDDED, Choice, load_choice
from penstock.platform.control import MIGRATE, RESTART, Control, Say
from penstock.platform.counts import counts
from penstock.platform.credentials import load_credentials
from penstock.platform.crew import Crew
from penstock.platform.errors import PlatformError
from penstock.platform.fleet import Fleet
from penstock.platform.folder import DataFolder
from penstock.platform.forking import NAME as ZYGOTE
from penstock.platform.logs import Console, Log
from penstock.platform.mover import Mover
from penstock.platform.orphans import Orphans
from penstock.platform.ports import LOOPBACK, open_port
from penstock.platform.servers import Addresses, Server, plan
from penstock.platform.services import Wiring
from penstock.platform.slots import Slot, make_slots, port_of
from penstock.platform.state import SUPERVISOR, State

STOP_ORDER = ((ZYGOTE, "api", "scheduler"), ("worker", "indexer"), ("inference", "billing"), ("nats", "postgres"))


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
    archive: str = ""
    """Where events are archived; empty for a folder of the data folder."""
    processes: str = ""
    """How many each service has: `api=2,inference=2`; one without."""


class Supervisor:
    """The processes of one platform."""

    def __init__(self, folder: DataFolder, options: Options, console: Console) -> None:
        self._folder, self._options, self._console = folder, options, console
        self._ledger = leftovers.Ledger(folder.processes)
        self._crew = Crew(self._ledger)
        self._orphans = Orphans()
        self._control = Control({RESTART: self.restart, MIGRATE: self.migrate})
        self._listeners: list[socket.socket] = []
        self._restarts: set[asyncio.Task[None]] = set()
        self._mover: Mover | None = None
        self._fleet: Fleet | None = None
        self._audit: AuditWatch | None = None

    async def start(self) -> State:
        """Start all; raises PlatformError with the reason where one of them does not become ready."""
        wanted = counts(self._options.processes)
        self._clear_earlier_run()
        self._orphans.start()
        public = open_port(self._options.port)
        self._listeners = [public]
        self._console.say("penstock", f"starting in {self._folder.root}; a first start takes some seconds more")
        choice = self._chosen()
        addresses, servers = plan(self._folder, choice.url, self._options.database, sum(wanted.values()))
        slots = make_slots(wanted, public)
        self._listeners += [slot.own for slot in slots]
        wiring = self._wiring(addresses, port_of(public))
        fleet = Fleet(self._folder, self._console, self._ledger, self._crew, wiring, addresses, slots)
        await asyncio.gather(fleet.load(), *map(self._start_server, servers))
        await fleet.start()
        self._crew.guard()
        watch = BusWatch(self._folder, self._console, addresses.bus)
        watch.start()
        self._fleet = fleet
        await self._control.start()
        self._audit = AuditWatch(self._folder, self._console, fleet)
        state = _state(addresses, wiring, slots, self._control.name)
        state = replace(state, metrics={**state.metrics, AUDIT: await self._audit.start()})
        state.save(self._folder)
        self._mover = Mover(
            folder=self._folder,
            console=self._console,
            crew=self._crew,
            fleet=fleet,
            watch=watch,
            choice=choice,
            start_server=self._add_server,
            moved=lambda bus: replace(state, bus=bus).save(self._folder),
        )
        if choice.moving_to:
            self._mover.go_on()
        return state

    async def restart(self, services: Sequence[str], say: Say) -> None:
        """Exchange the processes of these services, of all for none, one by one; raises PlatformError."""
        if self._fleet is None:
            raise PlatformError("The platform is still starting; try again.")

        def tell(text: str) -> None:
            self._console.say("penstock", text)
            say(text)

        await self._fleet.restart(services, tell)

    async def migrate(self, arguments: Sequence[str], say: Say) -> None:
        """Move to another bus, the one argument; raises PlatformError."""
        if self._mover is None:
            raise PlatformError("The platform is still starting; try again.")
        await self._mover.move(arguments[0], say)

    def restart_soon(self) -> None:
        """Exchange all processes, one by one; what comes of it is logged."""
        task = asyncio.create_task(self._restart_logged())
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def stop(self) -> None:
        """Stop all, those that others depend on last."""
        self._folder.state.unlink(missing_ok=True)
        for listener in self._listeners:
            listener.close()
        await self._control.stop()
        if self._audit:
            await self._audit.stop()
        if self._mover:
            await self._mover.stop()
            await self._mover.watch.stop()
        for task in self._restarts:
            task.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        await self._orphans.stop()
        await self._crew.stop(STOP_ORDER)
        self._ledger.clear()

    def hasten(self) -> None:
        """End at once what still runs."""
        self._crew.hasten()

    async def _restart_logged(self) -> None:
        try:
            await self.restart((), lambda _: None)
        except PlatformError as error:
            self._console.say("penstock", str(error))

    def _clear_earlier_run(self) -> None:
        self._folder.state.unlink(missing_ok=True)
        marks = leftovers.read_marks(self._folder.processes)
        postgres = [marks.pop("postgres")] if "postgres" in marks else []
        leftovers.end(marks.values())
        leftovers.end(postgres, signal.SIGINT)
        self._ledger.add(SUPERVISOR, os.getpid())

    def _chosen(self) -> Choice:
        choice = load_choice(self._folder, self._options.bus)
        if choice.use != (self._options.bus or EMBEDDED):
            self._console.say("penstock", f"the platform was moved to another bus and uses that: {self._folder.bus}")
        return choice

    async def _add_server(self, server: Server) -> None:
        (await self._start_server(server)).guard()

    async def _start_server(self, server: Server) -> Child:
        await asyncio.to_thread(server.prepare)
        log = Log(server.name, self._folder.logs, None)
        child = Child(server.program(), log, self._ledger, self._console, clear=server.prepare)
        await self._crew.add(child)
        await child.ready(server.is_ready)
        self._console.say("penstock", f"{server.name} is ready")
        return child

    def _wiring(self, addresses: Addresses, public_port: int) -> Wiring:
        return Wiring(
            folder=self._folder,
            bus=addresses.bus,
            databases=addresses.databases,
            public_port=public_port,
            credentials=load_credentials(self._folder),
            discover=self._options.discover,
            tools=self._options.tools,
            otlp=self._options.otlp,
            archive=self._options.archive,
            log_format="console" if sys.stderr.isatty() else "json",
        )


def _state(addresses: Addresses, wiring: Wiring, slots: Sequence[Slot], control: str) -> State:
    return State(
        base_url=f"http://{LOOPBACK}:{wiring.public_port}",
        api_key=wiring.credentials.api_key,
        admin_key=wiring.credentials.admin_key,
        data=str(wiring.folder.root),
        bus=addresses.bus,
        database=addresses.database,
        audit_database=addresses.audit_database,
        archive=wiring.archive_url,
        control=control,
        metrics={slot.name: slot.metrics_url for slot in slots},
    )
