"""Workers killed and frozen at any moment, on each bus: runs end once, and nothing that ended is done again."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from penstock_common.contracts.runs import RunState
from tests.integration.worker.models import House, house
from tests.support.databases import Databases
from tests.support.tools import Tool
from tests.support.working_process import LONG, start_worker

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

RUNS, KILLS = 12, 8
ASK = {"kind": "model", "name": "ask", "model": "sim/fast", "messages": [{"role": "user", "content": "{{ input }}"}]}
COUNT = {"kind": "state", "name": "count", "key": "all", "add": {"n": 1}}


@pytest.fixture
async def alone(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Inference, and no worker yet."""
    async with house(platform_databases, bus_url, tmp_path, workers=0) as running:
        yield running


class Gang:
    """Worker processes that can be killed."""

    def __init__(self, place: House) -> None:
        self.place, self.members = place, list[BaseProcess]()

    def hire(self) -> BaseProcess:
        """One more."""
        place = self.place
        process = start_worker(place.databases.services["worker"], place.bus_url, place.keyring, lease=LONG)
        self.members.append(process)
        return process

    def dismiss(self, process: BaseProcess) -> None:
        """SIGKILL."""
        self.members.remove(process)
        process.kill()
        process.join()


@pytest.fixture
def gang(alone: House) -> Iterator[Gang]:
    """None of them outlives the test."""
    gang = Gang(alone)
    try:
        yield gang
    finally:
        for process in list(gang.members):
            gang.dismiss(process)


async def test_workers_killed_in_a_loop(alone: House, gang: Gang, tool: Tool) -> None:
    """Each run succeeds, counts once, asks its model once and calls its tool under one key."""
    tell = {"kind": "http", "name": "tell", "method": "POST", "url": f"{tool.url}/tell"}
    for _ in range(3):
        gang.hire()
    runs = [await alone.boss.start({"steps": [ASK, COUNT, tell]}, f"run {n}") for n in range(RUNS)]
    choice = random.Random(4)
    for _ in range(KILLS):
        await asyncio.sleep(choice.uniform(0.3, 1.0))
        gang.dismiss(choice.choice(gang.members))
        gang.hire()
    ended = [await alone.boss.ended(run, 120) for run in runs]
    assert [run.state for run in ended] == [RunState.SUCCEEDED] * RUNS, [run.error for run in ended]
    reports = [await alone.boss.read(run) for run in runs]
    counted = [output_of(report.entries, "count")["after"]["n"] for report in reports]
    assert sorted(counted) == list(range(1, RUNS + 1))
    assert await alone.generations() == ["succeeded"] * RUNS
    assert len(set(tool.keys("/tell"))) == RUNS
    versions = [[entry.version for entry in report.entries] for report in reports]
    assert all(found == list(range(1, len(found) + 1)) for found in versions)


async def test_a_frozen_worker_is_fenced(alone: House, gang: Gang, tool: Tool) -> None:
    """It wakes after another one took over: not a line of its own gets into the journal, and it works on."""
    steps = [{"kind": "http", "name": name, "url": f"{tool.url}/slow?s={s}"} for name, s in (("one", 2), ("two", 8))]
    frozen = gang.hire()
    run_id = await alone.boss.start({"steps": steps})
    async with asyncio.timeout(20):
        while not tool.asked:
            await asyncio.sleep(0.05)
    assert frozen.pid
    os.kill(frozen.pid, signal.SIGSTOP)
    other = gang.hire()
    await alone.boss.until(run_id, lambda report: any(e.step == "two" for e in report.entries))
    os.kill(frozen.pid, signal.SIGCONT)
    run = await alone.boss.ended(run_id)
    kinds = [(entry.kind, entry.step) for entry in (await alone.boss.read(run_id)).entries]
    assert run.state is RunState.SUCCEEDED
    assert [kind for kind in kinds if kind[0] == "step.finished"] == [
        ("step.finished", "one"),
        ("step.finished", "two"),
    ]
    assert kinds.count(("run.resumed", "")) == 1
    gang.dismiss(other)
    assert (await alone.boss.carried_out({"steps": [COUNT]})).state is RunState.SUCCEEDED


def output_of(entries: Any, step: str) -> Any:
    """What a step gave, which it did once."""
    [output] = [entry.detail["output"] for entry in entries if (entry.kind, entry.step) == ("step.finished", step)]
    return output
