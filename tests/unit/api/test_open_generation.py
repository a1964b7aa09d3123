"""One accepted request while its answer is awaited: how long, and what ends the waiting."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from penstock_api.adapters.open_generation import GRACE_SECONDS, PATIENCE_SECONDS, OpenGeneration, Request
from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import AnswerLost, ClientLeft
from penstock_common.contracts.generation import About, GenerateText
from penstock_common.contracts.stream import Delta


def a_command() -> GenerateText:
    """A streamed request that this process accepted."""
    now = datetime.now(UTC)
    return GenerateText(
        request_id=uuid4(),
        tenant=uuid4(),
        key_id=uuid4(),
        model="m",
        catalogue_version=1,
        sealed=b"",
        body_mac="",
        streamed=True,
        reply_to="api-1",
        accepted_at=now,
        deadline=now,
    )


def opened(seconds: float = 3.0) -> tuple[OpenGeneration, list[OpenGeneration]]:
    """A request that may take so many seconds, and whoever asked for what it lacks."""
    asking: list[OpenGeneration] = []
    command = a_command()
    request = Request(command.request_id, About.of(command), command)
    return OpenGeneration(request, Answer(streamed=True), seconds, asking.append), asking


async def test_answer_is_lost_after_its_deadline_and_some_patience() -> None:
    """Not a moment before."""
    generation, _ = opened(3.0)
    due = asyncio.get_running_loop().time() + 3.0 + PATIENCE_SECONDS
    waiting = asyncio.create_task(generation.changed())
    await asyncio.sleep(0)
    generation.expire(due - 0.5)
    await asyncio.sleep(0)
    assert not waiting.done()
    generation.expire(due + 0.5)
    with pytest.raises(AnswerLost):
        await asyncio.wait_for(waiting, 1)


async def test_known_gap_is_waited_for_once_more() -> None:
    """What is known to be missing was asked for again, and has the time of grace to come."""
    generation, asking = opened(0.0)
    generation.feed([Delta(1, 0, "content", 5, "late")])
    await generation.changed()
    over = asyncio.get_running_loop().time() + PATIENCE_SECONDS + 1.0
    generation.expire(over)
    generation.expire(over + GRACE_SECONDS - 0.5)
    await asyncio.wait_for(generation.changed(), 1)
    waiting = asyncio.create_task(generation.changed())
    await asyncio.sleep(0)
    assert asking == [generation]
    generation.expire(over + GRACE_SECONDS)
    with pytest.raises(AnswerLost):
        await asyncio.wait_for(waiting, 1)


async def test_client_that_leaves_ends_the_waiting() -> None:
    """At once."""
    generation, _ = opened()
    waiting = asyncio.create_task(generation.changed())
    await asyncio.sleep(0)
    generation.leave()
    with pytest.raises(ClientLeft):
        await asyncio.wait_for(waiting, 1)
