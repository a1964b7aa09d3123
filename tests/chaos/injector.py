"""Does to a platform what a schedule says."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.chaos.acks import Mood
from tests.chaos.clocked import set_offset
from tests.chaos.faults import ACKS, Done, Fault, Kind
from tests.chaos.hosts import Host
from tests.chaos.proxy import Cable
from tests.chaos.services import Service
from tests.chaos.stack import Stack

MOODS = {Kind.LOSE_ACKS: Mood.LOST, Kind.DOUBLE_ACKS: Mood.TWICE, Kind.REORDER_ACKS: Mood.REORDERED}


class Injector:
    """Does what the schedule says, one fault after another."""

    def __init__(self, stack: Stack, faults: Sequence[Fault], now: Callable[[], float]) -> None:
        self.stack, self.faults, self.now = stack, faults, now
        self.done: list[Done] = []
        self.loads: list[float] = []
        """The machine's load average after each."""

    async def run(self) -> None:
        """Until all is done; whatever was frozen goes on, and whatever was stopped is there again."""
        for fault in self.faults:
            await asyncio.sleep(max(0.0, fault.at - self.now()))
            began = self.now()
            async with self._fault(fault):
                await asyncio.sleep(fault.seconds)
            self.done.append(Done(fault, began, self.now()))
            self.loads.append(os.getloadavg()[0])

    @asynccontextmanager
    async def _fault(self, fault: Fault) -> AsyncIterator[None]:
        stack = self.stack
        if fault.target in stack.cables:
            stack_fault = _at_cable(stack.cables[fault.target], fault)
        elif fault.target in stack.hosts:
            stack_fault = _at_host(stack.hosts[fault.target], fault)
        else:
            stack_fault = _at_process(stack.service(fault.target), fault)
        async with stack_fault:
            yield


@asynccontextmanager
async def _at_cable(cable: Cable, fault: Fault) -> AsyncIterator[None]:
    weather = cable.weather
    if fault.kind is Kind.DELAY:
        weather.late = fault.strength
    elif fault.kind is Kind.TRICKLE:
        weather.rate = fault.strength
    elif fault.kind is Kind.SILENCE:
        weather.passes.clear()
    elif fault.kind in MOODS:
        weather.mood = MOODS[fault.kind]
    try:
        yield
    finally:
        if fault.kind in (Kind.CUT, Kind.SILENCE) or (fault.kind in ACKS and not cable.acks_may_be_lost):
            cable.cut()  # what was silent is forgotten by whoever stands in between; AMQP loses only with a connection
        weather.clear()


@asynccontextmanager
async def _at_host(host: Host, fault: Fault) -> AsyncIterator[None]:
    if fault.kind is Kind.RESTART:
        await host.crash()
    elif fault.kind is Kind.KILL_LEADER:
        await asyncio.to_thread(host.kill_leader)
    elif fault.kind is Kind.FREEZE:
        await asyncio.to_thread(host.server.freeze)
    elif fault.kind is Kind.FILL_DISK:
        await asyncio.to_thread(host.fill_disk)
    try:
        yield
    finally:
        if fault.kind is Kind.FREEZE:
            host.server.thaw()
        if fault.kind is Kind.FILL_DISK:
            await asyncio.to_thread(host.free_disk)
        if fault.kind in (Kind.FILL_DISK, Kind.KILL_LEADER):
            await host.recover()


@asynccontextmanager
async def _at_process(service: Service, fault: Fault) -> AsyncIterator[None]:
    jumps = {Kind.JUMP_FORWARD: fault.strength, Kind.JUMP_BACK: -fault.strength}
    if fault.kind is Kind.KILL:
        service.kill()
    elif fault.kind is Kind.RESTART:
        service.end()
    elif fault.kind is Kind.FREEZE:
        service.freeze()
    elif fault.kind in jumps:
        set_offset(service.clock, jumps[fault.kind])
    try:
        yield
    finally:
        if fault.kind is Kind.FREEZE:
            service.thaw()
        if fault.kind in jumps:
            set_offset(service.clock, 0.0)
