"""A lane of one inference process, in memory."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock_common.contracts.generation import GenerateText
from penstock_inference.admission.admission import Admission
from penstock_inference.domain.seats import Size
from tests.support.generation_fakes import a_sealer
from tests.unit.inference.generating.conftest import World, until

TENANT, OTHER, THIRD = (UUID(int=number) for number in (1, 2, 3))


@dataclass
class Scene:
    """A lane, and an engine each of whose calls goes on until it is let go."""

    world: World
    lane: Admission
    tasks: "dict[UUID, asyncio.Task[None]]" = field(default_factory=dict)

    def begin(self, tenant: UUID = TENANT, *, redelivered: bool = False, **given: Any) -> UUID:
        """Have a request handled beside the test; its id."""
        return self.deliver(self.world.command(tenant=tenant, **given), redelivered=redelivered)

    def deliver(self, command: GenerateText, *, redelivered: bool = False) -> UUID:
        """The same for a command that a test made."""
        handled = self.lane.handle(command, redelivered=redelivered)
        self.tasks[command.request_id] = asyncio.create_task(handled)
        return command.request_id

    @property
    def called(self) -> list[UUID]:
        """The requests for which the engine was called, in order."""
        return [call.request_id for call in self.world.engine.calls]

    def outcome(self, request_id: UUID) -> str:
        """How a request ended; empty where it did not."""
        row = self.world.records.rows.get(request_id)
        return row.outcome if row else ""

    async def settled(self) -> None:
        """Let every task go on as far as it can."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def over(self, request_id: UUID) -> None:
        """Wait for a request's end; raises what its handler raised."""
        await asyncio.wait_for(self.tasks[request_id], 10)


class Lanes:
    """Makes scenes."""

    def __init__(self, folder: Path) -> None:
        self.world = World(a_sealer(folder / "keys"))
        self.go = asyncio.Event()
        self.world.engine.script = [self.go]
        self.scenes: list[Scene] = []

    def __call__(self, slots: int = 1, reserved: int = 0, **bounds: int) -> Scene:
        """One whose calls all wait for `go`."""
        size = Size(slots, reserved, **({"waiting": 100, "tenant_waiting": 100} | bounds))
        self.scenes.append(Scene(self.world, Admission("interactive", size, self.world.generator)))
        return self.scenes[-1]

    async def close(self) -> None:
        """End what is left."""
        self.go.set()
        tasks = [task for scene in self.scenes for task in scene.tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def lanes(tmp_path: Path) -> Any:
    """Makes lanes."""
    made = Lanes(tmp_path)
    yield made
    await made.close()


__all__ = ["OTHER", "TENANT", "THIRD", "Lanes", "Scene", "until"]
