"""The services' processes: started together, and exchanged one by one while the others serve."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from penstock.platform.child import Child
from penstock.platform.crew import GRACE, Crew
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
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._zygote = self._new_zygote()
        self._readiness: dict[str, Readiness] = {}
        self._logs = {slot.name: Log(slot.name, self.folder.logs, self.console) for slot in self.slots}

    async def load(self) -> None:
        """Have the code loaded, and database and bus made ready; raises PlatformError."""
        await self.crew.add(self._zygote.child)
        await self._zygote.child.ready(self._zygote.is_loaded)
        await run_prepare(self._zygote, self.addresses, self.folder.logs)

    async def start(self) -> None:
        """Start all and wait until they are ready; raises PlatformError."""
        await asyncio.gather(*map(self._start, self.slots))

    async def restart(self, services: Sequence[str], say: Callable[[str], None]) -> None:
        """Give each process a successor with the code as it is on disk now, one by one; none for services is all.

        Raises PlatformError where one does not become ready; those before it are new then, and those from it on stay.
        """
        async with self._turn:
            await self._load_anew()
            wanted = [slot for slot in self.slots if slot.service in services or not services]
            for slot in sorted(wanted, key=lambda slot: (RESTART_ORDER.index(slot.service), slot.number)):
                say(f"{slot.name} is being restarted")
                await self._swap(slot)
            say(f"restarted: {', '.join(slot.name for slot in wanted)}")

    async def _load_anew(self) -> None:
        former, fresh = self._zygote, self._new_zygote()
        try:
            await self.crew.swap(fresh.child, fresh.is_loaded, by=signal.SIGTERM, grace=GRACE)
        except BaseException:
            fresh.close()
            raise
        self._zygote = fresh
        former.close()
        await run_prepare(fresh, self.addresses, self.folder.logs)

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
        return await self._zygote.spawn(program)

    def _new_zygote(self) -> Zygote:
        return Zygote(self.folder.logs, self.ledger, self.console, code_of(self.addresses.bus))
