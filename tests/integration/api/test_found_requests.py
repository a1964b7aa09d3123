"""What an api process says of the requests that it holds open, and what it hears of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.generation import ApiLives, FindRequest, GenerationTakenOver, RequestFound
from penstock_common.contracts.stream import Delta, unpack
from penstock_common.errors import NoAnswer
from penstock_common.topology import API_LIVES, FIND_REQUEST, GENERATION_TAKEN_OVER
from tests.support.api import USER, bearer
from tests.support.chat import Chat
from tests.support.fake_inference import TEXT, Call, deltas
from tests.support.replicas import CHAT, KEPT, body_of, events_in

pytestmark = pytest.mark.integration


async def begin(call: Call) -> None:
    """Two thirds of an answer."""
    call.say(*deltas(*TEXT[:2]))


@asynccontextmanager
async def held(chat: Chat) -> AsyncIterator[httpx.Response]:
    """A request whose client has two thirds of its answer, and waits."""
    chat.inference.script = begin
    body = body_of(model="fast", stream_options={"include_usage": True})
    headers = bearer(USER) | KEPT
    async with chat.client.stream("POST", CHAT, json=body, headers=headers) as response:
        events = events_in(response)
        for _ in range(3):
            await anext(events)
        yield response


def id_of(response: httpx.Response) -> UUID:
    """The request that a response belongs to."""
    return UUID(response.headers["x-request-id"])


async def found(chat: Chat, request_id: UUID, asking: str = "") -> RequestFound:
    """What the process says of it, with its answer."""
    find = FindRequest(request_id=request_id, with_answer=True, asking=asking)
    return decode(RequestFound, await chat.inference.bus.query(FIND_REQUEST, encode(find), 0.5))


async def test_holder_tells_what_its_client_has(chat_on_both: Chat) -> None:
    """The delivered text, whether it may begin anew, and all that was asked for; never to itself."""
    chat = chat_on_both
    async with held(chat) as response:
        said = await found(chat, id_of(response))
        with pytest.raises(NoAnswer):
            await found(chat, id_of(response), said.process)
    assert [frame.text for frame in unpack(said.answer) if isinstance(frame, Delta)] == ["".join(TEXT[:2])]
    assert (said.restarts, said.attempt) == (False, 1)
    assert said.about is not None
    assert (said.about.asked, said.about.model, said.about.includes_usage) == ("fast", "sim/fast", True)
    command = chat.inference.calls[0].command
    assert (command.asked, command.includes_usage) == ("fast", True)


async def test_answer_may_begin_anew_where_every_client_takes_that(chat_on_both: Chat) -> None:
    """One native stream beside a plain one does not make it so; alone, it does."""
    chat = chat_on_both
    async with held(chat) as plain:
        chat.inference.attached = deltas(*TEXT[:2])
        path = f"/api/v1/inference/{id_of(plain)}/stream?native=1"
        async with chat.client.stream("GET", path, headers=bearer(USER)) as native:
            events = events_in(native)
            while (await anext(events)).kind:
                pass
            assert not (await found(chat, id_of(plain))).restarts
            await plain.aclose()
            async with asyncio.timeout(3):
                while not (await found(chat, id_of(plain))).restarts:
                    await asyncio.sleep(0.05)


async def test_take_over_is_heard_and_attached_to_at_once(chat_on_both: Chat) -> None:
    """From the beginning: what the new attempt says is held against what was delivered."""
    chat = chat_on_both
    async with held(chat) as response:
        request_id = id_of(response)
        taken = GenerationTakenOver(request_id=request_id, process="inference-2", attempt=2)
        await chat.inference.bus.broadcast(GENERATION_TAKEN_OVER, encode(taken, GENERATION_TAKEN_OVER.wire))
        async with asyncio.timeout(1):
            while not chat.inference.attaches:
                await asyncio.sleep(0.01)
    (attach,) = chat.inference.attaches
    assert (attach.request_id, attach.offsets) == (request_id, {})


async def test_process_tells_that_it_lives(chat_on_both: Chat) -> None:
    """Every two seconds, by its name."""
    heard: list[str] = []

    async def hear(body: bytes) -> None:
        heard.append(decode(ApiLives, body, API_LIVES.wire).process)

    await chat_on_both.inference.bus.listen(API_LIVES, hear)
    async with asyncio.timeout(6):
        while len(heard) < 2:
            await asyncio.sleep(0.05)
    assert set(heard) == {chat_on_both.app.generations.process}
