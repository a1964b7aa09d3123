"""One inference process, in memory."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock_common.contracts.generation import GenerateText
from penstock_common.sealing import Sealer
from penstock_inference.domain.catalogue import Model
from penstock_inference.generating.generator import Generator
from penstock_inference.generating.lease import Lease
from penstock_inference.generating.registry import Registry
from penstock_inference.generating.run import RunPorts
from tests.support.generation_fakes import (
    MODEL,
    Audience,
    FlatRate,
    MemoryRecords,
    MovedClock,
    OneModel,
    ScriptedEngine,
    a_command,
    a_sealer,
    connection,
)

PROCESS = "inference-1"
LEASE_SECONDS = 3.0


@dataclass
class World:
    """A generator and all around it."""

    sealer: Sealer
    unrecorded_after: float = 30.0
    beat_seconds: float = 2.0
    held_seconds: float = 30.0
    model: Model = MODEL
    clock: MovedClock = field(default_factory=MovedClock)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    audience: Audience = field(default_factory=Audience)
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    gone: set[str] = field(default_factory=set)
    """Api processes that are silent."""
    registry: Registry = field(default_factory=lambda: Registry(PROCESS, check_seconds=0.01))

    def __post_init__(self) -> None:
        self.lease = Lease(connection(), self.clock, LEASE_SECONDS)

    @property
    def shared(self) -> RunPorts:
        """What its runs share."""
        return RunPorts(self.audience, self.records, self.lease, self.clock, self.beat_seconds, self.held_seconds)

    @property
    def generator(self) -> Generator:
        """The process's generator."""
        return Generator(
            process=PROCESS,
            engines=self.engine,
            models=OneModel(self.model),
            records=self.records,
            listeners=self.audience,
            tokenizer=FlatRate(),
            registry=self.registry,
            sealer=self.sealer,
            shared=self.shared,
            clock=self.clock,
            is_gone=lambda process: process in self.gone,
            unrecorded_after=self.unrecorded_after,
        )

    def command(self, *, age: float = 0.0, left: float = 60.0, **given: Any) -> GenerateText:
        """A command, as `a_command` makes it, by this process's clock."""
        return a_command(self.sealer, age=age - self.clock.ahead, left=left + self.clock.ahead, **given)

    async def answer(self, command: GenerateText, *, redelivered: bool = False) -> None:
        """Have a command handled to its end."""
        await asyncio.wait_for(self.generator.handle(command, redelivered=redelivered), 30)

    def begin(self, command: GenerateText, *, redelivered: bool = False) -> "asyncio.Task[None]":
        """Have a command handled beside the test."""
        return asyncio.create_task(self.answer(command, redelivered=redelivered))

    @property
    def outcomes(self) -> list[str]:
        """Of the ends that count."""
        return [end.outcome.value for end in self.records.ends]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A process whose engine has nothing to say yet."""
    return World(a_sealer(tmp_path / "keys"))


async def until(condition: Any, seconds: float = 15.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
