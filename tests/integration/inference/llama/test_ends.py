"""Calls that end before their time: by us, or because llama.cpp dies."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from penstock_inference.adapters.engines.compatible import CompatibleEngine
from penstock_inference.domain.catalogue import Model
from penstock_inference.domain.ending import DeadlinePassed
from penstock_inference.domain.errors import EngineCut, EngineUnreachable
from tests.conftest import Start
from tests.integration.inference.llama.conftest import llama_model
from tests.support.engine_calls import Heard, a_call, heard
from tests.support.llama import SLOT_TOKENS, SLOTS, until_busy
from tests.support.servers import Server, llama_server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("llama"), pytest.mark.timeout(1800)]

ENDLESS = SLOT_TOKENS - 500  # tokens; more than a minute


async def test_closing_a_stream_frees_its_slot(engine: CompatibleEngine, model: Model) -> None:
    """Nobody wants the rest: the engine stops within a second."""
    async with aclosing(engine.stream(a_call(model, max_tokens=ENDLESS))) as events:
        await anext(events)
        await until_busy(model.url, 1, within=5)
    await until_busy(model.url, 0, within=1)


@pytest.mark.parametrize("streamed", [True, False])
async def test_cancelling_frees_the_slot(streamed: bool, engine: CompatibleEngine, model: Model) -> None:
    """So does the end of the task that waits, also for a whole answer."""
    call = a_call(model, max_tokens=ENDLESS)
    task = asyncio.create_task(heard(engine, call) if streamed else engine.complete(call))
    await until_busy(model.url, 1, within=5)
    task.cancel()
    await until_busy(model.url, 0, within=1)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_deadline_frees_the_slot(engine: CompatibleEngine, model: Model) -> None:
    """A request past its deadline occupies nothing, and keeps what was said."""
    answer = Heard()
    with pytest.raises(DeadlinePassed):
        await heard(engine, a_call(model, seconds=0.5, max_tokens=ENDLESS), answer)
    await until_busy(model.url, 0, within=1)
    assert answer.text


async def test_cancelled_calls_do_not_hold_up_the_next(engine: CompatibleEngine, model: Model) -> None:
    """All slots are taken and given up: who comes next is served at once."""
    calls = [a_call(model, max_tokens=ENDLESS) for _ in range(2 * SLOTS)]
    tasks = [asyncio.create_task(heard(engine, call)) for call in calls]
    await until_busy(model.url, SLOTS, within=5)
    for task in tasks:
        task.cancel()
    answer = await asyncio.wait_for(heard(engine, a_call(model, max_tokens=3)), 10)
    assert answer.used[-1].completion == 3
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_killed_engine_cuts_and_comes_back(
    engine: CompatibleEngine, private_server: Start, llama_built: Path
) -> None:
    """kill -9: running streams keep what they had, calls meanwhile fail by name, and the first one after it works."""
    server = private_server(llama_server(llama_built))
    model = llama_model(server)
    answers = [Heard() for _ in range(SLOTS)]
    tasks = [asyncio.create_task(heard(engine, a_call(model, max_tokens=ENDLESS), answer)) for answer in answers]
    while not all(answer.text for answer in answers):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.kill)
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [type(end) for end in ends] == [EngineCut] * SLOTS
    with pytest.raises(EngineUnreachable):
        await heard(engine, a_call(model))
    await asyncio.to_thread(server.start)
    assert (await heard(engine, a_call(model, max_tokens=3))).used[-1].completion == 3


async def test_a_connection_kept_from_before_a_restart_is_not_used(
    engine: CompatibleEngine, private_server: Start, llama_built: Path
) -> None:
    """A restart between two calls goes unnoticed by the second."""
    server: Server = private_server(llama_server(llama_built))
    model = llama_model(server)
    for _ in range(3):
        assert (await engine.complete(a_call(model, max_tokens=3))).text
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    assert (await heard(engine, a_call(model, max_tokens=3))).text
