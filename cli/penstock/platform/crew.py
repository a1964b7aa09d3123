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
            self._ledger.rename(leaving, name)
            self._children[name] = self._children.pop(leaving)
            former.guard()
            raise
        successor.guard()
        await former.stop(grace, by)
        del self._children[leaving]
        self._ledger.remove(leaving)

    async def stop(self, order: Sequence[Sequence[str]]) -> None:
        """Stop all: those roles together that are named together, one group after the other."""
        for roles in order:
            there = [child for name, child in self._children.items() if role_of(name) in roles]
            await asyncio.gather(*(child.stop(GRACE) for child in there))

    def hasten(self) -> None:
        """End at once what still runs."""
        for child in self._children.values():
            child.signal(child.program.hurry_signal)
