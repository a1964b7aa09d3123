"""The simulated engine's file: what it produced, known even of calls that were ended or killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock_inference.adapters.engines.sim.engine import SimulatedEngine
from penstock_inference.domain.continuing import Prefix
from penstock_inference.domain.errors import EngineCut, EngineFailed
from tests.support.engine_calls import Heard, a_call, a_sim, heard

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from penstock_common.clock import SystemClock
from penstock_inference.adapters.engines.sim.engine import SimulatedEngine
from penstock_inference.adapters.engines.sim.record import Record
from tests.support.engine_calls import a_call, a_sim

async def main():
    engine, handed = SimulatedEngine(Record(Path(sys.argv[1])), SystemClock()), 0
    async for events in engine.stream(a_call(a_sim("slow"), seed=3)):
        handed += len(events)
        if handed == 2:
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def lines(sim: SimulatedEngine) -> list[dict[str, Any]]:
    """The file of an engine."""
    return [json.loads(line) for line in sim.record.path.read_text().splitlines()]


async def test_a_call_is_opened_counted_and_closed(sim: SimulatedEngine) -> None:
    """Streamed and unstreamed: the close line is exactly what was charged."""
    for streamed in (True, False):
        call = a_call(a_sim(), seed=5)
        used = (await heard(sim, call)).used[0] if streamed else (await sim.complete(call)).tokens
        assert used
        mine = [line for line in lines(sim) if line["request_id"] == str(call.request_id)]
        assert [line["event"] for line in mine] == ["open", *["count"] * (len(mine) - 2), "close"]
        assert mine[0] | {"at": 0} == mine[0] | {
            "attempt": 1,
            "model": "sim/fast",
            "prompt_tokens": used.prompt,
            "at": 0,
        }
        assert (mine[-1]["prompt_tokens"], mine[-1]["completion_tokens"]) == (used.prompt, used.completion)


async def test_what_is_continued_counts_as_handed_out(sim: SimulatedEngine) -> None:
    """The file of a continued answer says what the whole of it costs, and how much of that was there before."""
    call = a_call(a_sim(), seed=5)
    whole = (await heard(sim, call)).used[0]
    begun = (await heard(sim, a_call(a_sim(), seed=5, max_tokens=6))).text
    await heard(sim, replace(call, prefix=Prefix(begun, 6)))
    opened, *counts, closed = last_call(sim)
    assert (opened["prompt_tokens"], opened["continued_tokens"]) == (whole.prompt, 6)
    assert (closed["prompt_tokens"], closed["completion_tokens"]) == (whole.prompt, whole.completion)
    assert all(count["completion_tokens"] > 6 for count in counts)


def last_call(sim: SimulatedEngine) -> list[dict[str, Any]]:
    """The lines of the latest call."""
    every = lines(sim)
    return every[max(at for at, line in enumerate(every) if line["event"] == "open") :]


async def test_tokens_are_announced_before_they_leave(sim: SimulatedEngine) -> None:
    """The last count is never below what was handed out, and at most a block above."""
    handed = 0
    async for events in sim.stream(a_call(a_sim("slow"), max_tokens=40, seed=5, n=1)):
        handed += len(events)
        counts = [line["completion_tokens"] for line in lines(sim) if line["event"] == "count"]
        if len(counts) == 2:
            break
        assert handed <= counts[-1] < handed + 32
    assert handed == 33


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_an_ended_call_is_counted_exactly(how: str, sim: SimulatedEngine) -> None:
    """Whoever stops a stream is told of by exactly the tokens that were handed out."""
    answer, call = Heard(), a_call(a_sim("slow"))
    if how == "closed":
        async with aclosing(sim.stream(call)) as events:
            for _ in range(3):
                answer.take(await anext(events))
    else:
        task = asyncio.create_task(heard(sim, call, answer))
        while not answer.deltas:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (lines(sim)[-1]["event"], lines(sim)[-1]["completion_tokens"]) == ("close", answer.deltas)
    assert answer.deltas > 0


async def test_failures_are_counted_too(sim: SimulatedEngine) -> None:
    """A cut call closes with the tokens that came out; one that failed before the first is not known at all."""
    answer = Heard()
    with pytest.raises(EngineCut):
        await heard(sim, a_call(a_sim("flaky"), seed=8), answer)
    assert lines(sim)[-1]["completion_tokens"] == answer.deltas > 0
    before = lines(sim)
    with pytest.raises(EngineFailed):
        await heard(sim, a_call(a_sim("flaky"), seed=5))
    assert lines(sim) == before


def test_a_killed_process_leaves_its_count(tmp_path: Path) -> None:
    """Open and count lines survive SIGKILL; the count bounds what came out."""
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    (file,) = tmp_path.iterdir()
    opened, counted = (json.loads(line) for line in file.read_text().splitlines())
    assert (opened["event"], counted["event"], counted["completion_tokens"]) == ("open", "count", 32)
