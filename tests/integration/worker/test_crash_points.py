"""A worker killed after each of its durable writes, one after the other: another one goes on, and repeats nothing."""

import asyncio
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from penstock_common.contracts.runs import RunState
from tests.support.tools import Tool
from tests.support.working import Commander, worker_process
from tests.support.working_process import start_worker

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(600)]

MOST_POINTS = 80


def a_task(url: str) -> dict[str, Any]:
    """One step of each kind that leaves something behind."""
    return {
        "steps": [
            {"kind": "http", "name": "first", "method": "POST", "url": f"{url}/first"},
            {"kind": "state", "name": "count", "key": "{{ input }}", "add": {"n": 1}},
            {"kind": "run", "name": "below", "task": "below", "input": "{{ input }}"},
            {"kind": "http", "name": "last", "method": "POST", "url": f"{url}/last"},
        ],
        "output": "{{ steps.count.output.after.n }}",
    }


BELOW = {"steps": [{"kind": "state", "name": "count", "key": "{{ input }}", "add": {"n": 1}}]}


async def died(process: BaseProcess, database: str, run_id: UUID) -> bool:
    """Whether a process dies at its point; False where the run ended before."""
    try:
        async with asyncio.timeout(30):
            while process.is_alive():
                if await ended(database, run_id):
                    return False
                await asyncio.sleep(0.05)
        assert process.exitcode == -signal.SIGKILL
        return True
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


async def ended(database: str, run_id: UUID) -> bool:
    """Whether the run's row says so."""
    connection = await asyncpg.connect(database)
    try:
        query = "select state in ('succeeded', 'failed', 'cancelled') from worker.runs where id = $1"
        return bool(await connection.fetchval(query, run_id))
    finally:
        await connection.close()


async def test_every_durable_write_may_be_the_last(
    boss: Commander, worker_url: str, nats_url: str, keyring: Path, tool: Tool
) -> None:
    """For each point: nothing lost, state counted once, effects under one key each, one run below."""
    async with worker_process(worker_url, nats_url, keyring):
        await boss.save("below", BELOW)
    survived = 0
    for point in range(1, MOST_POINTS):
        tool.asked.clear()
        run_id = await boss.start(a_task(tool.url), f"point-{point}")
        if not await died(start_worker(worker_url, nats_url, keyring, point), worker_url, run_id):
            break
        async with worker_process(worker_url, nats_url, keyring):
            run = await boss.ended(run_id)
            report = await boss.read(run_id)
        assert (run.state, run.output) == (RunState.SUCCEEDED, 1), f"point {point}: {run.error}"
        finished = [entry.step for entry in report.entries if entry.kind == "step.finished"]
        assert finished == ["first", "count", "below", "last"], f"point {point}"
        assert [entry.version for entry in report.entries] == list(range(1, len(report.entries) + 1))
        for path in ("/first", "/last"):
            assert len(tool.at(path)) in (1, 2), f"point {point}"
            assert len(set(tool.keys(path))) == 1, f"point {point}"
        assert len(tool.at("/first")) + len(tool.at("/last")) <= 3, f"point {point}: a finished call was repeated"
        survived = point
    print(f"crash points: {survived}")
    assert 20 <= survived < MOST_POINTS - 1
