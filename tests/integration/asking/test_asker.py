"""A question is answered and charged once, whoever asks it and however often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from penstock_common.asking import Asker, AskFailed, Question
from penstock_common.clock import SystemClock
from penstock_common.contracts.base import encode
from penstock_common.contracts.generation import CancelGeneration, FindGeneration
from penstock_common.errors import NoAnswer
from penstock_common.ids import uuid7
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import CANCEL_GENERATION, FIND_GENERATION
from tests.support.databases import Databases
from tests.support.inference import inference_process

pytestmark = pytest.mark.integration


def a_question(**changes: Any) -> Question:
    """One about water."""
    body = {"model": "sim/fast", "messages": [{"role": "user", "content": "What is water?"}], "seed": 3}
    given: dict[str, Any] = {
        "request_id": uuid7(),
        "tenant": uuid7(),
        "key_id": uuid7(),
        "model": "sim/fast",
        "body": body,
    }
    return Question(**given | changes)


@asynccontextmanager
async def an_asker(bus_url: str, folder: Path) -> AsyncIterator[Asker]:
    """A process that asks."""
    bus = await connect_bus(bus_url, "worker")
    asker = Asker("worker", bus, Sealer(LocalKeyring(folder / "keyring")), SystemClock())
    await asker.start()
    try:
        yield asker
    finally:
        await asker.stop()
        await bus.close()


async def outcomes(databases: Databases, request_id: UUID) -> list[tuple[str, int]]:
    """What inference recorded and told of a request: its rows, and how many events."""
    connection = await asyncpg.connect(databases.services["inference"])
    try:
        rows = await connection.fetch("select outcome from inference.generations where request_id = $1", request_id)
        told = await connection.fetchval(
            "select count(*) from inference.outbox where subject like '%generation.completed%' and message_id like $1",
            f"{request_id}%",
        )
    finally:
        await connection.close()
    return [(row["outcome"], told) for row in rows]


async def running(bus: Bus, request_id: UUID) -> bool:
    """Whether an inference process says that it runs this request."""
    find = FindGeneration(request_id=request_id, asking="test")
    try:
        await bus.query(FIND_GENERATION, encode(find, FIND_GENERATION.wire), 0.5)
    except NoAnswer:
        return False
    return True


async def test_an_answer_is_the_same_for_all_who_ask(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """Asked again by another process, under the same id, the recorded answer comes back and nothing runs again."""
    question = a_question()
    async with inference_process(platform_databases, bus_url, tmp_path), an_asker(bus_url, tmp_path) as first:
        answered = await first.ask(question)
        async with an_asker(bus_url, tmp_path) as second:
            again = await asyncio.wait_for(second.ask(replace(question, asked_before=True)), 5)
    assert answered.body["choices"][0]["message"]["content"] == again.body["choices"][0]["message"]["content"] != ""
    assert answered.tokens == again.tokens
    assert answered.tokens.completion > 0
    assert await outcomes(platform_databases, question.request_id) == [("succeeded", 1)]


async def test_a_question_survives_who_asked_it(platform_databases: Databases, bus_url: str, tmp_path: Path) -> None:
    """The first process is gone while the model still speaks; the second attaches to the same generation."""
    question = a_question(model="sim/slow")
    async with inference_process(platform_databases, bus_url, tmp_path), an_asker(bus_url, tmp_path) as second:
        async with an_asker(bus_url, tmp_path) as first:
            asking = asyncio.create_task(first.ask(question))
            while not await running(second.bus, question.request_id):
                await asyncio.sleep(0.05)
            asking.cancel()
        answered = await asyncio.wait_for(second.ask(replace(question, asked_before=True)), 30)
    assert answered.tokens.completion > 0
    assert await outcomes(platform_databases, question.request_id) == [("succeeded", 1)]


async def test_a_question_that_never_left_is_asked(platform_databases: Databases, bus_url: str, tmp_path: Path) -> None:
    """Said to have been asked before, and known to nobody: it is published, and answered."""
    async with inference_process(platform_databases, bus_url, tmp_path), an_asker(bus_url, tmp_path) as asker:
        answered = await asyncio.wait_for(asker.ask(a_question(asked_before=True)), 10)
    assert answered.body["choices"][0]["message"]["content"]


async def test_failures_come_with_their_code(platform_databases: Databases, bus_url: str, tmp_path: Path) -> None:
    """A model nobody serves, and an engine that fails, are told apart from one another."""
    async with inference_process(platform_databases, bus_url, tmp_path), an_asker(bus_url, tmp_path) as asker:
        with pytest.raises(AskFailed) as unknown:
            await asker.ask(a_question(model="no/such"))
        flaky = a_question(model="sim/flaky")
        with pytest.raises(AskFailed) as failed:
            await asker.ask(replace(flaky, body=flaky.body | {"seed": 5}))
    assert (unknown.value.failure_code, unknown.value.passes) == ("inference.model_unknown", False)
    assert failed.value.failure_code.startswith("inference.engine")
    assert failed.value.passes


async def test_a_stopped_question_fails_as_cancelled(
    platform_databases: Databases, bus_url: str, tmp_path: Path
) -> None:
    """`CancelGeneration` ends the engine call, and who asked hears it."""
    question = a_question(model="sim/slow")
    async with inference_process(platform_databases, bus_url, tmp_path), an_asker(bus_url, tmp_path) as asker:
        asking = asyncio.create_task(asker.ask(question))
        while not await running(asker.bus, question.request_id):
            await asyncio.sleep(0.05)
        cancel = CancelGeneration(request_id=question.request_id, tenant=question.tenant, reason="test")
        await asker.bus.publish(envelop(cancel, CANCEL_GENERATION, message_id=str(uuid7())), 5)
        with pytest.raises(AskFailed) as stopped:
            await asyncio.wait_for(asking, 5)
    assert stopped.value.failure_code == "inference.cancelled"
    assert (await outcomes(platform_databases, question.request_id))[0][0] == "cancelled"


async def test_nobody_answers(platform_databases: Databases, bus_url: str, tmp_path: Path) -> None:
    """Without any inference process a question fails when its time is over, and not before."""
    async with inference_process(platform_databases, bus_url, tmp_path):
        pass
    async with an_asker(bus_url, tmp_path) as asker:
        with pytest.raises(AskFailed) as expired:
            await asyncio.wait_for(asker.ask(a_question(seconds=-4.0)), 10)
    assert expired.value.failure_code == "inference.deadline_passed"
