"""A running platform moved from one bus to another: a second crew beside the first, which then ends its work.

The first crew keeps what it accepted, and the bus that it came by. What it says from then on the second publishes.
A move that is broken off at any moment goes on when it is ordered again, also by the next start of the platform.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from penstock.platform.bus_watch import BusWatch
from penstock.platform.cancelling import end
from penstock.platform.chosen_bus import EMBEDDED, Choice
from penstock.platform.control import Say
from penstock.platform.crew import GRACE, Crew
from penstock.platform.errors import PlatformError
from penstock.platform.fleet import Fleet
from penstock.platform.folder import DataFolder
from penstock.platform.logs import Console
from penstock.platform.nats import NatsServer
from penstock.platform.servers import check_bus, embedded_bus
from penstock.platform.working import carried_out

LEAVING_ORDER = (("scheduler", "api"), ("worker", "indexer"), ("inference", "billing"))
"""Who asks others for something leaves before them."""
SETTLE_SECONDS = 10.0  # what is not handled by then is handed over
PAUSE = 0.5
BUS = "nats"


@dataclass
class Mover:
    """Carries out one move at a time; who orders the same one meanwhile hears how it goes on."""

    folder: DataFolder
    console: Console
    crew: Crew
    fleet: Fleet
    watch: BusWatch
    choice: Choice
    start_server: Callable[[NatsServer], Awaitable[None]]
    moved: Callable[[str], None]
    """Is told the URL of the bus that is used from now on."""
    _task: "asyncio.Task[None] | None" = None
    _hearers: set[Say] = field(default_factory=set)
    _source: str = ""
    """The bus that is being left, once there are two crews."""
    _target: str = ""

    async def move(self, to: str, say: Say) -> None:
        """Move to a URL, or back to the embedded bus; raises PlatformError. Whoever is cancelled only hears no more."""
        if to != EMBEDDED:
            check_bus("--to", to)
        if self._task is None or self._task.done():
            if to == self.choice.use:
                say("the platform uses this bus already")
                return
            self._task = asyncio.create_task(self._move(to))
        elif to != self.choice.moving_to:
            raise PlatformError("The platform is on its way to another bus; wait for that, then order this again.")
        self._hearers.add(say)
        try:
            await asyncio.shield(self._task)
        finally:
            self._hearers.discard(say)

    def go_on(self) -> None:
        """Take up a move that an earlier run of the platform began."""
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Leave it as it is; the next start goes on."""
        if self._task:
            await end(self._task)

    async def _go_on(self) -> None:
        try:
            await self._move(self.choice.moving_to)
        except PlatformError as error:
            self._say(f"the move does not go on: {error}")

    async def _move(self, to: str) -> None:
        async with self.fleet.turn:
            if self.choice.moving_to and self._source and to != self.choice.moving_to:
                raise PlatformError("Two crews run: order the move that was begun again, which ends it.")
            if not self._source:
                self._remember(self.choice.moving(to))
                await self._enter(to)
            await self._leave()
            await self._carry(self._source, self._target)
            await self._arrive()

    async def _enter(self, to: str) -> None:
        """The second crew, on the target. Where it does not come to be, everything is as before."""
        source = self.fleet.addresses.bus
        self._target = await self._reach(to)
        watch = self.watch.on(self._target)
        try:
            await self._step("lay-out", {"to": self._target})
            self._say("the new bus is laid out")
            watch.start()
            await self.fleet.start_beside(self._target, self._say)
        except BaseException as error:
            await watch.stop()
            if isinstance(error, PlatformError):
                await self._withdraw(source, to)
            raise
        await self.watch.stop()
        self.watch, self._source = watch, source
        self.moved(self._target)

    async def _withdraw(self, source: str, to: str) -> None:
        self._say("it can't be; back on the former bus")
        try:
            await self._carry(self._target, source)
        except PlatformError as error:
            self._say(f"what lies on the other bus stays there ({error}); penstock bus rebuild publishes it here")
        if to == EMBEDDED:
            await self.crew.remove(BUS, grace=GRACE)
        self._remember(self.choice.moving(""))

    async def _leave(self) -> None:
        """The first crew ends what it began."""
        await self.fleet.pause_relays()
        for services in LEAVING_ORDER:
            if self.fleet.former.intersection(services):
                if services != LEAVING_ORDER[0]:  # api takes requests until then
                    await self._settled()
                self._say(f"{' and '.join(services)} leave the former bus")
                await self.fleet.retire(services)

    async def _settled(self) -> None:
        """What the first crew's services can still handle is handled, or some seconds have passed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            told = await self._step("look", {"at": self._source, "services": sorted(self.fleet.former)})
            if not told["left"]:
                return
            await asyncio.sleep(PAUSE)

    async def _arrive(self) -> None:
        """The move is over, also for every later start."""
        was_embedded = self.choice.use == EMBEDDED
        self._remember(self.choice.arrived())
        if was_embedded:
            await self.crew.remove(BUS, grace=GRACE)
        self._source = ""
        self._say("moved: nothing is left on the former bus")

    async def _reach(self, to: str) -> str:
        if to != EMBEDDED:
            return to
        server = embedded_bus(self.folder)
        await self.start_server(server)
        return server.url

    async def _carry(self, source: str, target: str) -> None:
        told = await self._step("carry", {"from": source, "to": target, "act": uuid4().hex})
        self._say(f"{told['carried']} messages that were left are handed over")

    async def _step(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return await carried_out(self.fleet.zygote, name, given, self.folder.logs)

    def _remember(self, choice: Choice) -> None:
        self.choice = choice
        choice.save(self.folder)

    def _say(self, text: str) -> None:
        self.console.say("penstock", text)
        for say in self._hearers:
            say(text)
