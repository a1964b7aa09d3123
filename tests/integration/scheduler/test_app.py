"""Whole scheduler processes on each bus: alone, and two of them killed in a loop."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import UUID

import pytest

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.runs import StartRun
from penstock_common.contracts.schedules import (
    Preview,
    PreviewTiming,
    ReadSchedules,
    SaveSchedule,
    ScheduleChanged,
    ScheduleList,
)
from penstock_common.messaging.connect import apply_topology, connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus
from penstock_common.service import begin
from penstock_common.topology import PLATFORM, PREVIEW_TIMING, READ_SCHEDULES, SAVE_SCHEDULE, START_RUN
from penstock_scheduler.app import App
from tests.support.forks import FORKS, begun, ended
from tests.support.scheduling import ALL, EVERY_MINUTE, KEY, TENANT, Scheduler, every, once
from tests.support.scheduling_process import SPEED, FastClock, serve, settings

pytestmark = pytest.mark.integration

KILLS = 6


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[Bus]:
    """Another process's connection to a bus that has the platform's topology."""
    await apply_topology(bus_url)
    bus = await connect_bus(bus_url, "test")
    yield bus
    await bus.close()


@pytest.fixture
async def app(bus_url: str, bus: Bus, scheduler: Scheduler) -> AsyncIterator[App]:
    """A running process on the machine's clock."""
    app = App(settings(bus_url, scheduler.url, str(scheduler.keyring)))
    await begin(app)
    yield app
    await app.stop()


async def ask(bus: Bus, topic: Any, question: Any) -> Any:
    """As api asks."""
    return decode(topic.reply, await bus.query(topic, encode(question), 5.0))


async def save(bus: Bus, command: SaveSchedule) -> None:
    """As api's relay does."""
    await bus.publish(envelop(command, SAVE_SCHEDULE))


async def test_a_process_answers_saves_and_fires(app: App, bus: Bus, scheduler: Scheduler) -> None:
    """Over the bus, from the command to the order of a run; readiness names what it stands on."""
    assert await app.checks() == {"started": True, "ticking": True, "bus": True, "database": True}
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await bus.listen(START_RUN, heard.put)
    preview: Preview = await ask(bus, PREVIEW_TIMING, PreviewTiming(timing=EVERY_MINUTE, count=3))
    assert len(preview.moments) == 3
    soon = app.clock.now() + timedelta(seconds=1.5)
    command = scheduler.saving(once(soon), given=[1], saved_at=app.clock.now())
    await save(bus, command)
    order = decode(StartRun, await asyncio.wait_for(heard.get(), 10))
    assert (order.source_id, order.due_at) == (str(command.schedule_id), soon)
    assert scheduler.input_of(order)["input"] == [1]
    question = ReadSchedules(tenant=TENANT, schedule_id=command.schedule_id)
    listed: ScheduleList = await ask(bus, READ_SCHEDULES, question)
    assert (listed.schedules[0].last_run_id, listed.schedules[0].input) == (order.run_id, [1])


@dataclass
class Replicas:
    """Two processes, started again whenever they are killed."""

    arguments: tuple[str | float, ...]
    processes: list[BaseProcess] = field(default_factory=list)

    async def start(self) -> BaseProcess:
        """One more; returns once it serves."""
        ours, theirs = FORKS.Pipe(duplex=False)
        process = await begun(serve, *self.arguments, theirs)
        self.processes.append(process)
        assert await asyncio.to_thread(ours.poll, 30), "it did not start"
        assert ours.recv() == "serving"
        return process

    async def kill(self, process: BaseProcess) -> None:
        """SIGKILL."""
        self.processes.remove(process)
        process.kill()
        await ended(process)

    async def end(self) -> None:
        """SIGKILL to all."""
        for process in list(self.processes):
            await self.kill(process)


async def test_two_processes_killed_in_a_loop_lose_and_double_nothing(
    bus_url: str, bus: Bus, scheduler: Scheduler
) -> None:
    """Intervals of a quarter of a second, and one-shots at odd moments: each moment one tick, each tick one run."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance, origin = random.Random(seed), time.time()
    clock = FastClock(origin)
    heard: defaultdict[tuple[str, datetime | None], set[UUID]] = defaultdict(set)

    async def hear(body: bytes) -> None:
        order = decode(StartRun, body)
        heard[order.source_id, order.due_at].add(order.run_id)

    await bus.listen(START_RUN, hear)
    replicas = Replicas((bus_url, scheduler.url, str(scheduler.keyring), origin))
    try:
        await asyncio.gather(replicas.start(), replicas.start())
        begun, expected = clock.now(), set[tuple[str, datetime]]()
        beats = [scheduler.saving(every(5), misfire=ALL, saved_at=begun) for _ in range(3)]
        for command in beats:
            await save(bus, command)
        for _ in range(KILLS):
            for _ in range(5):
                at = clock.now() + timedelta(seconds=chance.uniform(0, 2 * SPEED))
                command = scheduler.saving(once(at), saved_at=clock.now())
                await save(bus, command)
                expected.add((str(command.schedule_id), at))
            await asyncio.sleep(chance.uniform(0, 0.5))
            await replicas.kill(chance.choice(replicas.processes))
            await replicas.start()
        last = clock.now()
        for command in beats:
            beat, count = timedelta(seconds=5), (last - begun) // timedelta(seconds=5)
            expected |= {(str(command.schedule_id), begun + n * beat) for n in range(1, count + 1)}
        async with asyncio.timeout(30):
            while not expected <= heard.keys():
                await asyncio.sleep(0.1)
    finally:
        await replicas.end()
    assert {moment for moment in heard if moment[1] and moment[1] <= last} - expected == set()
    assert all(len(runs) == 1 for runs in heard.values())
    written = await scheduler.fetch("select schedule_id, due_at, run_id from scheduler.ticks")
    assert {(str(id_), due): {run} for id_, due, run in written}.items() >= dict(heard).items()
    print(len(expected), "ticks", KILLS, "kills")


async def test_changes_are_told(app: App, bus: Bus, scheduler: Scheduler) -> None:
    """Whoever listens hears of a new version."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await bus.listen(PLATFORM.topic(ScheduleChanged), heard.put)
    command = scheduler.saving()
    await save(bus, command)
    told = decode(ScheduleChanged, await asyncio.wait_for(heard.get(), 10))
    assert told == ScheduleChanged(schedule_id=command.schedule_id, tenant=TENANT, version=1)
    assert command.key_id == KEY
