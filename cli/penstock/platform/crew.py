"""The supervised processes of one platform by name: `SERVICE`, and `SERVICE.NUMBER` from its second process on."""

import asyncio
import signal
from collections.abc import Sequence

from penstock.platform.child import Child, Probe
from penstock.platform.leftovers import Ledger

GRACE = 12.0  # seconds; a service gives its running work ten
LEAVING = ".leaving"


def role_of(name: str) -> str:
    """The service, or the server, that a process of this name is one of."""
    return name.partition(".")[0]


class Crew:
    """Who is there, and who takes whose place."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._children: dict[str, Child] = {}

    async def add(self, child: Child) -> None:
        """Start another one."""
        self._children[child.name] = child
        await child.start()

    def guard(self) -> None:
        """From now on start each again whenever it dies."""
        for child in self._children.values():
            child.guard()

    async def swap(self, successor: Child, probe: Probe, *, by: signal.Signals, grace: float) -> None:
        """Start a process beside the one of its name; once it is ready that one is asked to end, by the signal `by`.

        Raises PlatformError where it does not become ready; then the other has stayed.
        """
        await self.beside(successor, probe)
        await self.retire(successor.name, by=by, grace=grace)

    async def beside(self, successor: Child, probe: Probe) -> Child:
        """Start a process beside the one of its name, which goes by another until it is retired; gives that one.

        Raises PlatformError where it does not become ready; then the other has stayed.
        """
        name, leaving = successor.name, successor.name + LEAVING
        former = self._children[name]
        await former.unguard()
        self._ledger.rename(name, leaving)
        self._children |= {leaving: former, name: successor}
        try:
            await successor.start()
            await successor.ready(probe)
        except BaseException:
            await successor.stop(GRACE)
            self._put_back(name)
            former.guard()
            raise
        successor.guard()
        return former

    async def retire(self, name: str, *, by: signal.Signals, grace: float) -> None:
        """End the one beside which another took its name."""
        leaving = name + LEAVING
        await self._children[leaving].stop(grace, by)
        del self._children[leaving]
        self._ledger.remove(leaving)

    async def return_to(self, name: str, *, by: signal.Signals, grace: float) -> None:
        """End the one that took the name, and give the name back."""
        successor, former = self._children[name], self._children[name + LEAVING]
        await successor.stop(grace, by)
        await former.unguard()
        self._put_back(name)
        former.guard()

    async def remove(self, name: str, *, grace: float) -> None:
        """End one that nobody follows."""
        await self._children.pop(name).stop(grace)
        self._ledger.remove(name)

    def leaving(self) -> Sequence[str]:
        """The names whose former bearers still run."""
        return [name.removesuffix(LEAVING) for name in self._children if name.endswith(LEAVING)]

    def _put_back(self, name: str) -> None:
        self._ledger.rename(name + LEAVING, name)
        self._children[name] = self._children.pop(name + LEAVING)

    async def stop(self, order: Sequence[Sequence[str]]) -> None:
        """Stop all: those roles together that are named together, one group after the other."""
        for roles in order:
            there = [child for name, child in self._children.items() if role_of(name) in roles]
            await asyncio.gather(*(child.stop(GRACE) for child in there))

    def hasten(self) -> None:
        """End at once what still runs."""
        for child in self._children.values():
            child.signal(child.program.hurry_signal)
