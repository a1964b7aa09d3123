"""The queue on real servers: answers, states, order, bounds, deadlines and stops."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.support.api import ADMIN
from tests.support.queueing import Platform, stranger
from tests.support.replicas import client_of
from tests.support.submitting import (
    PATH,
    a_request,
    ended,
    failed,
    order_of_ends,
    rows,
    state_of,
    submitted,
    waiting,
)

pytestmark = pytest.mark.integration

SLOW = " ".join(f"word{number}" for number in range(60))
LONG = " ".join(f"word{number}" for number in range(600))
"""It takes a minute at least."""


async def busy(platform: Platform, text: str = SLOW) -> str:
    """A request that has the only turn for as long as saying this takes."""
    id_ = await submitted(platform.client, a_request(text, model="sim/slow"))
    async with asyncio.timeout(30):
        while (await state_of(platform.client, id_))["state"] != "running":
            await asyncio.sleep(0.05)
    return id_


async def test_an_answer_is_there_later(platform: Platform) -> None:
    """Its state tells that it was queued, its result is the completion, and its queue's row is gone."""
    id_ = await submitted(platform.client, a_request("hello world"))
    state = await ended(platform.client, id_)
    assert (state["state"], state["lane"], state["attempts"]) == ("succeeded", "batch", 1)
    steps = [decision["step"] for decision in state["decisions"]]
    assert [step for step in steps if step in ("submit", "queue", "generate")] == ["submit", "queue", "generate"]
    result = (await platform.client.get(f"{PATH}/{id_}/result")).json()
    assert result["choices"][0]["message"]["content"] == "hello world"
    await emptied(platform)


async def test_embeddings_are_queued_too(platform: Platform) -> None:
    """The result is the list of vectors, as of the route that waits."""
    inner = {"model": "sim/embed", "input": ["a river"]}
    models = {model["id"] for model in (await platform.client.get("/v1/models")).json()["data"]}
    if "sim/embed" not in models:
        inner["model"] = "local/all-minilm-l6-v2"
    id_ = await submitted(platform.client, {"request": inner, "kind": "embeddings"})
    assert (await ended(platform.client, id_))["state"] == "succeeded"
    result = (await platform.client.get(f"{PATH}/{id_}/result")).json()
    assert (result["object"], len(result["data"])) == ("list", 1)
    assert len(result["data"][0]["embedding"]) > 10


async def test_the_interactive_lane_does_not_queue(platform: Platform) -> None:
    """It is answered while the only turn is taken."""
    first = await busy(platform, LONG)
    id_ = await submitted(platform.client, a_request("at once", lane="interactive"))
    state = await ended(platform.client, id_)
    assert (state["state"], state["lane"]) == ("succeeded", "interactive")
    assert (await state_of(platform.client, first))["state"] == "running"


async def test_priority_orders_what_waits(platform: Platform) -> None:
    """The highest first, of equals the oldest; each is told its place."""
    first = await busy(platform)
    low = await submitted(platform.client, a_request("low", priority=0))
    usual = await submitted(platform.client, a_request("usual"))
    high = await submitted(platform.client, a_request("high", priority=9))
    later = await submitted(platform.client, a_request("later", priority=9))
    places = [(await waiting(platform.client, id_))["position"] for id_ in (high, later, usual, low)]
    assert places == [1, 2, 3, 4]
    for id_ in (first, low, usual, high, later):
        assert (await ended(platform.client, id_))["state"] == "succeeded"
    assert await order_of_ends(platform.databases, [low, usual, high, later]) == [high, later, usual, low]


async def test_a_new_project_goes_next(platform: Platform) -> None:
    """Its first request stands before all of another's that have waited longer, and begins when the slot is free."""
    await stranger(platform)
    await busy(platform)
    mine = [await submitted(platform.client, a_request(f"mine {n}", priority=9)) for n in range(4)]
    await waiting(platform.client, mine[-1])
    async with client_of(platform.api, ADMIN) as other:
        theirs = await submitted(other, a_request("theirs", priority=0))
        assert (await waiting(other, theirs))["position"] == 1
        assert (await ended(other, theirs))["state"] == "succeeded"
    for id_ in mine:
        await ended(platform.client, id_)
    assert await order_of_ends(platform.databases, [*mine, theirs]) == [theirs, *mine]


async def test_what_expires_in_the_queue_calls_no_engine(platform: Platform) -> None:
    """It ends `expired`, costs nothing, and its result says why."""
    first = await busy(platform, LONG)
    id_ = await submitted(platform.client, a_request("late", deadline_seconds=1))
    state = await failed(platform.client, id_)
    assert (state["state"], state["error_code"]) == ("expired", "inference.deadline_passed")
    assert (state["tokens"]["prompt"], state["tokens"]["completion"]) == (0, 0)
    result = await platform.client.get(f"{PATH}/{id_}/result")
    assert (result.status_code, result.json()["code"]) == (504, "inference.deadline_passed")
    assert await said(platform, id_) == 1
    assert (await state_of(platform.client, first))["state"] == "running"


async def test_a_stop_ends_what_waits(platform: Platform) -> None:
    """DELETE gives its end; no engine is called, and nothing is charged."""
    await busy(platform, LONG)
    id_ = await submitted(platform.client, a_request("never"))
    await waiting(platform.client, id_)
    stopped = await platform.client.delete(f"{PATH}/{id_}")
    state = stopped.json()
    assert stopped.status_code == 200, "it has ended within the two seconds that a stop waits"
    assert (state["state"], state["tokens"]["completion"], state["attempts"]) == ("cancelled", 0, 1)
    assert "generate" not in [decision["step"] for decision in state["decisions"]]
    assert await said(platform, id_) == 1


async def test_a_full_queue_refuses(platform: Platform) -> None:
    """429 and when to try again; what came past that bound ends failed, and is not charged."""
    await busy(platform)
    await asyncio.sleep(1.1)  # what api knows of the queue's room is up to a second old
    answers = await asyncio.gather(*(platform.client.post(PATH, json=a_request(f"n{n}")) for n in range(12)))
    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(accepted) == 6
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(429, "api.queue_full")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {(await ended(platform.client, id_))["state"] for id_ in accepted} == {"succeeded"}


async def test_the_insert_holds_the_bound_by_itself(platform: Platform) -> None:
    """Where nobody asked for room before: what is too much ends `failed`, and those before it are answered."""
    await busy(platform)

    async def unknown(_: UUID) -> tuple[None, int]:
        return None, 0

    platform.api.app.submissions.room.take = unknown  # type: ignore[method-assign, assignment]
    ids = [await submitted(platform.client, a_request(f"n{n}")) for n in range(8)]
    states = [await ended(platform.client, id_) for id_ in ids]
    assert [state["state"] for state in states] == ["succeeded"] * 6 + ["failed"] * 2
    assert {state["error_code"] for state in states[6:]} == {"inference.queue_full"}
    assert [state["tokens"]["completion"] for state in states[6:]] == [0, 0]
    await emptied(platform)


async def test_a_streamed_one_is_read_as_it_grows(platform: Platform) -> None:
    """Attached while it waits, its stream begins when its turn comes, and ends with its end."""
    await busy(platform)
    body = a_request("a b c")
    body["request"]["stream"] = True
    id_ = await submitted(platform.client, body)
    await waiting(platform.client, id_)
    async with platform.client.stream("GET", f"{PATH}/{id_}/stream") as response:
        lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert "a" in lines[1]


async def said(platform: Platform, id_: str) -> int:
    """Facts of a request's end."""
    statement = "select count(*) from inference.outbox where message_id = $1"
    found: list[Any] = await rows(platform.databases, statement, f"{id_}.completed")
    return int(found[0])


async def emptied(platform: Platform) -> None:
    """Nothing is left of the queue, and its counts say so."""
    counted = "(select coalesce(sum(waiting), 0) from inference.queue_tenants)"
    left = f"select (select count(*) from inference.queue) + {counted}"
    async with asyncio.timeout(10):
        while (await rows(platform.databases, left))[0]:
            await asyncio.sleep(0.1)
