"""Steps that ask models: a whole inference service beside the worker, on each bus."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_common.contracts.runs import RunState
from tests.integration.worker.models import House, house
from tests.support.databases import Databases
from tests.support.tools import Tool
from tests.support.working import LEASE, worker_process

pytestmark = pytest.mark.integration

SLOW = {"kind": "model", "name": "think", "model": "sim/slow", "messages": [{"role": "user", "content": "Think."}]}


@pytest.fixture
async def both(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """One worker, on each bus."""
    async with house(platform_databases, bus_url, tmp_path) as running:
        yield running


@pytest.fixture
async def empty(platform_databases: Databases, nats_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """No worker yet."""
    async with house(platform_databases, nats_url, tmp_path, workers=0) as running:
        yield running


async def test_a_run_asks_a_model_and_calls_a_tool(both: House, tool: Tool) -> None:
    """From a command delivered three times: one run, one generation, one call."""
    task = {
        "steps": [
            {
                "kind": "model",
                "name": "ask",
                "model": "sim/fast",
                "messages": [{"role": "user", "content": "{{ input }}"}],
            },
            {"kind": "http", "name": "tell", "method": "POST", "url": tool.url, "body": "{{ steps.ask.output.text }}"},
        ]
    }
    command = both.boss.start_of(task, "Name a river.")
    await both.boss.publish(command, times=3)
    run = await both.boss.ended(command.run_id)
    assert run.state is RunState.SUCCEEDED, run.error
    [told] = tool.asked
    assert told.body
    assert await both.generations() == ["succeeded"]


async def test_cancel_stops_the_model_within_a_second(both: House) -> None:
    """The run ends, and inference ends the generation."""
    run_id = await both.boss.start({"steps": [SLOW]})
    await both.boss.until(run_id, lambda report: any(e.kind == "step.started" for e in report.entries))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await both.boss.cancel(run_id)
    run = await both.boss.ended(run_id)
    assert time.monotonic() - began < 1.5
    assert (run.state, run.error_code, run.error) == (RunState.CANCELLED, "worker.run_cancelled", "enough")
    async with asyncio.timeout(5):
        while await both.generations() != ["cancelled"]:
            await asyncio.sleep(0.05)


async def test_a_worker_that_stops_hands_its_model_call_on(empty: House) -> None:
    """The next one waits for the very answer that the first one asked for: one generation."""
    worker_url = empty.databases.services["worker"]
    async with worker_process(worker_url, empty.bus_url, empty.keyring):
        run_id = await empty.boss.start({"steps": [SLOW]})
        await empty.boss.until(run_id, lambda report: any(e.kind == "step.started" for e in report.entries))
        await asyncio.sleep(0.3)
    async with worker_process(worker_url, empty.bus_url, empty.keyring):
        run = await empty.boss.ended(run_id, 30 + LEASE)
    assert run.state is RunState.SUCCEEDED, run.error
    assert await empty.generations() == ["succeeded"]


async def test_a_model_that_does_not_exist_is_named(both: House) -> None:
    """By inference's own sentence and code."""
    run = await both.boss.carried_out({"steps": [{**SLOW, "model": "no/such"}]})
    assert (run.state, run.error_code) == (RunState.FAILED, "worker.model_refused")
    assert "no/such" in run.error
