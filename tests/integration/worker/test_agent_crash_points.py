"""A worker killed after each line that an agent writes: another one goes on, asks and pays for nothing twice."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from penstock_common.contracts.runs import RunState
from tests.integration.worker.test_crash_points import died
from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.tools import Tool
from tests.support.working import Commander, worker_process
from tests.support.working_process import start_worker

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(600)]

MOST_POINTS = 60
TEXT = {"properties": {"text": {"type": "string"}}, "required": ["text"]}


def a_task(url: str) -> dict[str, Any]:
    """A supervisor that asks a specialist, who writes a note; then it writes one itself."""
    note = {"kind": "http", "name": "note", "description": "Write a note", "method": "POST", "parameters": TEXT}
    clerk = {
        "name": "clerk",
        "description": "Writes notes",
        "instructions": 'sim: call note {"text": "clerk"}\nsim: say noted',
        "tools": [note | {"url": f"{url}/clerk"}],
    }
    prompt = (
        'Work.\nsim: call ask_clerk {"request": "write"}\nsim: call note {"text": "own"}\nsim: say All done: {last}'
    )
    step = {"kind": "agent", "name": "work", "model": "sim/fast", "prompt": prompt, "specialists": [clerk]}
    return {"steps": [step | {"tools": [note | {"url": f"{url}/own"}]}]}


async def charged(databases: Databases) -> list[tuple[str, int]]:
    """Every generation that inference recorded: its outcome, and how often it was told."""
    connection = await asyncpg.connect(databases.services["inference"])
    try:
        rows = await connection.fetch("""
            select outcome, (select count(*) from inference.outbox o
                where o.subject like '%generation.completed%' and starts_with(o.message_id, g.request_id::text)) as told
            from inference.generations g""")
    finally:
        await connection.close()
    return [(row["outcome"], row["told"]) for row in rows]


async def test_every_line_of_an_agent_may_be_the_last(
    boss: Commander, platform_databases: Databases, nats_url: str, keyring: Path, tool: Tool
) -> None:
    """For each point: the answer is the one of an undisturbed run, each tool has one key, each turn one charge."""
    url, survived, turns = platform_databases.services["worker"], 0, 0
    async with inference_process(platform_databases, nats_url, keyring.parent):
        for point in range(1, MOST_POINTS):
            tool.asked.clear()
            run_id = await boss.start(a_task(tool.url))
            alive = await died(start_worker(url, nats_url, keyring, point), url, run_id)
            async with worker_process(url, nats_url, keyring):
                run = await boss.ended(run_id, seconds=40)
            assert (run.state, run.error) == (RunState.SUCCEEDED, ""), f"point {point}"
            assert run.output["text"].startswith("All done:"), f"point {point}"
            for path in ("/clerk", "/own"):
                assert len(tool.at(path)) in (1, 2), f"point {point}"
                assert len(set(tool.keys(path))) == 1, f"point {point}"
            assert len(tool.asked) <= 3, f"point {point}: a finished call was repeated"
            turns += run.output["turns"]
            assert await charged(platform_databases) == [("succeeded", 1)] * turns, f"point {point}"
            if not alive:
                break
            survived = point
    print(f"crash points of an agent: {survived}")
    assert 12 <= survived < MOST_POINTS - 1
