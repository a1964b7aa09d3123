"""What is done to a platform, and when: a function of the seed."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.services import Service
from tests.chaos.stack import Stack

FREEZE = (1.0, 8.0)  # seconds
GAP = (3.0, 7.0)  # seconds between two faults
LEAD = 4.0  # seconds in which streams begin before the first fault


class Kind(StrEnum):
    """A fault."""

    KILL_API = "kill -9 api"
    FREEZE_API = "freeze api"
    KILL_INFERENCE = "kill -9 inference"
    FREEZE_INFERENCE = "freeze inference"
    RESTART_BUS = "restart bus"
    RESTART_POSTGRES = "restart postgres"


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them at its time."""

    at: float
    """Seconds after the first client."""
    kind: Kind
    target: int
    """Which of two replicas."""
    seconds: float
    """How long a process is frozen; else 0."""

    def __str__(self) -> str:
        which = f" {self.target}" if "api" in self.kind or "inference" in self.kind else ""
        return f"{self.at:6.1f} s  {self.kind}{which}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it came, in seconds after the first client: a busy machine is late, and starts servers slowly."""

    fault: Fault
    began: float
    ended: float


def schedule(seed: int, seconds: float) -> list[Fault]:
    """Faults for so long. Every kind comes once before any comes again, so that a short run has all of them."""
    chance, faults, bag = random.Random(f"faults {seed}"), list[Fault](), list[Kind]()
    at = LEAD
    while at < seconds:
        if not bag:
            bag = list(Kind)
            chance.shuffle(bag)
        kind = bag.pop()
        frozen = round(chance.uniform(*FREEZE), 1) if "freeze" in kind else 0.0
        faults.append(Fault(round(at, 1), kind, chance.randrange(2), frozen))
        at += chance.uniform(*GAP)
    return faults


class Injector:
    """Does what the schedule says."""

    def __init__(self, stack: Stack, faults: Sequence[Fault], now: Callable[[], float]) -> None:
        self.stack, self.faults, self.now = stack, faults, now
        self.done: list[Done] = []

    async def run(self) -> None:
        """Until all is done; whatever was frozen goes on, and whatever was stopped is there again."""
        for fault in self.faults:
            await asyncio.sleep(max(0.0, fault.at - self.now()))
            began = self.now()
            await self._inject(fault)
            self.done.append(Done(fault, began, self.now()))

    async def _inject(self, fault: Fault) -> None:
        if fault.kind is Kind.RESTART_BUS:
            await self.stack.restart_bus()
        elif fault.kind is Kind.RESTART_POSTGRES:
            await self.stack.restart_postgres()
        else:
            await self._strike(fault, self._target(fault))

    def _target(self, fault: Fault) -> Service:
        apis = fault.kind in (Kind.KILL_API, Kind.FREEZE_API)
        return (self.stack.apis if apis else self.stack.inferences)[fault.target]

    async def _strike(self, fault: Fault, service: Service) -> None:
        if not fault.seconds:
            service.kill()
            return
        service.freeze()
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            service.thaw()
