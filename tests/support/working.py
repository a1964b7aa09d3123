"""Worker processes for tests, and a client that commands them over the bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract, decode, encode
from penstock_common.contracts.runs import (
    CancelRun,
    ReadRun,
    ReadTasks,
    RunReport,
    RunShown,
    RunState,
    SaveTask,
    StartRun,
    TaskList,
    Trigger,
)
from penstock_common.errors import NoAnswer
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.service import begin
from penstock_common.topology import PLATFORM, READ_RUN, READ_TASKS
from penstock_worker.app import App, build
from penstock_worker.running.pool import Timing
from penstock_worker.settings import Settings

TENANT, KEY = uuid7(), uuid7()
LEASE = 1.0
ANSWER_SECONDS = 1.5  # a frozen process is asked as often as the others, and says nothing
FINAL = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


def settings(database: str, bus: str, keyring: Path) -> Settings:
    """A process whose tools may call this machine."""
    return Settings.model_validate(
        {
            "bus": {"url": bus},
            "database": {"url": database},
            "http": {"port": 0},
            "keyring": {"path": keyring},
            "tools": {"allow": ["127.0.0.0/8"]},
            "stop_grace": 1.0,
        }
    )


def make_worker(database: str, bus: str, keyring: Path, lease: float = LEASE) -> App:
    """A process that goes silent sooner than in production."""
    app = build(settings(database, bus, keyring))
    app.store.lease = lease
    app.pool.timing = Timing(poll=0.1, beat=lease / 3)
    return app


@asynccontextmanager
async def worker_process(database: str, bus: str, keyring: Path, lease: float = LEASE) -> AsyncIterator[App]:
    """One worker process; several on the same servers are replicas."""
    app = make_worker(database, bus, keyring, lease)
    try:
        await begin(app)
        yield app
    finally:
        await app.stop()


class Commander:
    """Starts, cancels and watches runs, as api does."""

    def __init__(self, bus: Bus, keyring: Path) -> None:
        self.bus, self.sealer = bus, Sealer(LocalKeyring(keyring))

    async def publish(self, message: Contract, message_id: str = "", times: int = 1) -> None:
        """Publish, as the relay does; each time under another id where none is given."""
        for _ in range(times):
            await self.bus.publish(envelop(message, PLATFORM.topic(type(message)), message_id=message_id))

    def start_of(self, task: Any, given: Any = None, **changes: Any) -> StartRun:
        """The command that runs a task: of a name, or one that comes with it."""
        run_id = uuid7()
        content = {"task": None if isinstance(task, str) else task, "input": given}
        sealed = self.sealer.seal(TENANT, str(run_id), msgspec.json.encode(content))
        fields: dict[str, Any] = {"run_id": run_id, "tenant": TENANT, "key_id": KEY, "trigger": Trigger.API}
        fields |= {"task": task if isinstance(task, str) else "", "sealed": sealed}
        return StartRun(**fields | changes)

    async def start(self, task: Any, given: Any = None, **changes: Any) -> UUID:
        """Run a task; gives the run's id."""
        command = self.start_of(task, given, **changes)
        await self.publish(command, f"{command.run_id}.start")
        return command.run_id

    async def save(self, name: str, task: Any) -> None:
        """Declare a task, and wait until it is known."""
        task_id = uuid7()
        sealed = self.sealer.seal(TENANT, str(task_id), msgspec.json.encode(task))
        await self.publish(
            SaveTask(task_id=task_id, tenant=TENANT, name=name, sealed=sealed, saved_at=datetime.now(UTC))
        )
        async with asyncio.timeout(10):
            while not (await self.tasks(name)).tasks:
                await asyncio.sleep(0.05)

    async def cancel(self, run_id: UUID) -> None:
        """End a run."""
        await self.publish(CancelRun(run_id=run_id, tenant=TENANT, reason="enough"))

    async def tasks(self, name: str = "") -> TaskList:
        """What is declared."""
        return decode(TaskList, await self.bus.query(READ_TASKS, encode(ReadTasks(tenant=TENANT, name=name)), 5.0))

    async def read(self, run_id: UUID, after: int = 0, tenant: UUID = TENANT) -> RunReport:
        """A run and its journal."""
        question = encode(ReadRun(run_id=run_id, tenant=tenant, after=after))
        return decode(RunReport, await self.bus.query(READ_RUN, question, ANSWER_SECONDS))

    async def until(self, run_id: UUID, met: Callable[[RunReport], bool], seconds: float = 20.0) -> RunReport:
        """The run once a condition holds."""
        async with asyncio.timeout(seconds):
            while True:
                with suppress(NoAnswer):  # nobody is there to answer, for now
                    report = await self.read(run_id)
                    if report.run and met(report):
                        return report
                await asyncio.sleep(0.05)

    async def ended(self, run_id: UUID, seconds: float = 20.0) -> RunShown:
        """The run once it ended."""
        report = await self.until(run_id, lambda report: report.run is not None and report.run.state in FINAL, seconds)
        assert report.run is not None
        return report.run

    async def carried_out(self, task: Any, given: Any = None) -> RunShown:
        """Run a task to its end."""
        return await self.ended(await self.start(task, given))


@asynccontextmanager
async def commander(bus_url: str, keyring: Path) -> AsyncIterator[Commander]:
    """One, on a connection of its own."""
    bus = await connect_bus(bus_url, "test")
    yield Commander(bus, keyring)
    await bus.close()
