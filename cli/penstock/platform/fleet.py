"""The services' processes: started together, and exchanged one by one while the others serve."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from penstock.platform.child import Child
from penstock.platform.crew import GRACE, LEAVING, Crew, role_of
from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.forking import Forked, Zygote
from penstock.platform.leftovers import Ledger
from penstock.platform.logs import Console, Log
from penstock.platform.preparing import run_prepare
from penstock.platform.program import Program
from penstock.platform.readiness import Readiness
from penstock.platform.servers import Addresses
from penstock.platform.services import DRAIN_SECONDS, Wiring, code_of
from penstock.platform.slots import Slot


@dataclass(frozen=True, slots=True)
class Former:
    """A process of the crew on the other bus, and what it is started again with."""

    child: Child
    program: Program
    readiness: Readiness


# Who understands a new message goes before who sends it.
RESTART_ORDER = ("inference", "billing", "worker", "indexer", "scheduler", "api")


@dataclass
class Fleet:
    """All of them, and what they are forked from."""

    folder: DataFolder
    console: Console
    ledger: Ledger
    crew: Crew
    wiring: Wiring
    addresses: Addresses
    slots: Sequence[Slot]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while processes are exchanged."""

    def __post_init__(self) -> None:
        self.zygote = self._new_zygote()
        self._former: dict[str, Former] = {}
        self._readiness: dict[str, Readiness] = {}
        self._logs = {slot.name: Log(slot.name, self.folder.logs, self.console) for slot in self.slots}

    async def load(self) -> None:
        """Have the code loaded, and database and bus made ready; raises PlatformError."""
        await self.crew.add(self.zygote.child)
        await self.zygote.child.ready(self.zygote.is_loaded)
        await run_prepare(self.zygote, self.addresses, self.folder.logs)

    async def start(self) -> None:
        """Start all and wait until they are ready; raises PlatformError."""
        await asyncio.gather(*map(self._start, self.slots))

    async def restart(self, services: Sequence[str], say: Callable[[str], None]) -> None:
        """Give each process a successor with the code as it is on disk now, one by one; none for services is all.

        Raises PlatformError where one does not become ready; those before it are new then, and those from it on stay.
        """
        async with self.turn:
            if self._former:
                raise PlatformError("The platform is on its way to another bus; run penstock bus migrate again first.")
            await self._load_anew()
            await run_prepare(self.zygote, self.addresses, self.folder.logs)
            wanted = [slot for slot in self.slots if slot.service in services or not services]
            for slot in in_order(wanted):
                say(f"{slot.name} is being restarted")
                await self._swap(slot)
            say(f"restarted: {', '.join(slot.name for slot in wanted)}")

    async def start_beside(self, bus: str, say: Callable[[str], None]) -> None:
        """Start a second crew on another bus, which takes requests too; both are looked after.

        Raises PlatformError where one of it does not become ready; then the first is alone again.
        """
        wiring, addresses = self.wiring, self.addresses
        self.wiring, self.addresses = replace(wiring, bus=bus), replace(addresses, bus=bus)
        try:
            await self._load_anew()
            for slot in in_order(self.slots):
                await self._start_beside(slot, wiring)
                say(f"{slot.name} runs on the new bus too")
        except PlatformError:
            self.wiring, self.addresses = wiring, addresses
            await asyncio.gather(*(self._return_to(name) for name in [*self._former]))
            raise

    @property
    def former(self) -> set[str]:
        """The services of which a process still runs on the other bus."""
        return {role_of(name) for name in self._former}

    async def pause_relays(self) -> None:
        """Have the former crew leave the outboxes to the other, those too that are started again."""
        for former in self._former.values():
            former.child.signal(signal.SIGUSR1)

    async def retire(self, services: Sequence[str]) -> None:
        """End the former processes of these services, once they have finished what they began."""
        names = [name for name in self._former if role_of(name) in services]
        await asyncio.gather(*(self._retire(name) for name in names))

    async def _start_beside(self, slot: Slot, wiring: Wiring) -> None:
        readiness = Readiness()
        child = self._child(slot, self.wiring.program(slot, readiness.fd, others_serve=True))
        try:
            former = await self.crew.beside(child, readiness.said)
        except BaseException:
            readiness.close()
            raise
        known, own = former.program, self._readiness[slot.name]
        self._former[slot.name] = Former(former, known, own)
        self._readiness[slot.name] = readiness
        # Started again, it can't be told by a signal any more that the other publishes.
        again = wiring.program(slot, own.fd, others_serve=True, relay=False)
        former.program = replace(again, name=slot.name + LEAVING)
        former.guard()

    async def _retire(self, name: str) -> None:
        await self.crew.retire(name, by=signal.SIGQUIT, grace=DRAIN_SECONDS + 2 * GRACE)
        self._former.pop(name).readiness.close()

    async def _return_to(self, name: str) -> None:
        await self.crew.return_to(name, by=signal.SIGQUIT, grace=DRAIN_SECONDS + 2 * GRACE)
        former = self._former.pop(name)
        self._readiness[name].close()
        self._readiness[name] = former.readiness
        former.child.program = former.program

    async def _load_anew(self) -> None:
        former, fresh = self.zygote, self._new_zygote()
        try:
            await self.crew.swap(fresh.child, fresh.is_loaded, by=signal.SIGTERM, grace=GRACE)
        except BaseException:
            fresh.close()
            raise
        self.zygote = fresh
        former.close()

    async def _start(self, slot: Slot) -> None:
        readiness = self._readiness[slot.name] = Readiness()
        child = self._child(slot, self.wiring.program(slot, readiness.fd))
        await self.crew.add(child)
        await child.ready(readiness.said)

    async def _swap(self, slot: Slot) -> None:
        readiness, patience = Readiness(), DRAIN_SECONDS + 2 * GRACE
        child = self._child(slot, self.wiring.program(slot, readiness.fd, others_serve=True))
        try:
            await self.crew.swap(child, readiness.said, by=signal.SIGQUIT, grace=patience)
        except BaseException:
            readiness.close()
            raise
        self._readiness[slot.name].close()
        self._readiness[slot.name] = readiness
        child.program = self.wiring.program(slot, readiness.fd)  # when it is started again, nobody serves beside it

    def _child(self, slot: Slot, program: Program) -> Child:
        return Child(program, self._logs[slot.name], self.ledger, self.console, spawn=self._fork)

    async def _fork(self, program: Program) -> Forked:
        return await self.zygote.spawn(program)

    def _new_zygote(self) -> Zygote:
        return Zygote(self.folder.logs, self.ledger, self.console, code_of(self.addresses.bus))


def in_order(slots: Sequence[Slot]) -> Sequence[Slot]:
    """The order in which processes are exchanged."""
    return sorted(slots, key=lambda slot: (RESTART_ORDER.index(slot.service), slot.number))
