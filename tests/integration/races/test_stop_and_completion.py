"""Stop against completion: whoever is first at the row, and everybody tells the same of it."""

import asyncio
import random
from dataclasses import dataclass

import pytest

from tests.integration.races.track import Client, Track, client
from tests.support.chat import ApiProcess
from tests.support.replicas import Replicas, client_of

pytestmark = pytest.mark.integration

TOKENS = 40
SECONDS = 2.0
"""What so many tokens of the slow engine take."""
RACES = 24
REASONS = {"succeeded": "length", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class Raced:
    """What was told of one race."""

    client: Client
    stopped: str
    """The state that the stop was answered with; empty where it was not known in time."""


async def race(reading: ApiProcess, stopping: ApiProcess, pause: float) -> Raced:
    """Stop a short stream so many seconds after its first text."""
    async with client(reading, max_tokens=TOKENS).reading() as stream, client_of(stopping) as other:
        await stream.has(1)
        await asyncio.sleep(pause)
        answer = await other.delete(f"/api/v1/inference/{stream.request_id}")
        assert answer.status_code in (200, 202)
        await stream.over()
        return Raced(stream, answer.json()["state"] if answer.status_code == 200 else "")


async def test_first_outcome_wins_and_all_tell_it(replicas: Replicas, track: Track) -> None:
    """Whenever the stop comes, row, charge, client, stop and state say one thing; and both sides win some."""
    chance = random.Random(5)
    apis = (replicas.first, replicas.second)
    full = await whole_text(replicas.first)
    pauses = [chance.uniform(0, 1.3 * SECONDS) for _ in range(RACES)]
    raced = await asyncio.gather(*(race(apis[n % 2], apis[n // 2 % 2], pause) for n, pause in enumerate(pauses)))
    outcomes = [await agreed(each, track, full) for each in raced]
    assert set(outcomes) == set(REASONS)


async def agreed(raced: Raced, track: Track, full: str) -> str:
    """The outcome of a race, which everybody tells alike."""
    stream, row = raced.client, await track.charged_as_recorded(raced.client.request_id)
    outcome = str(row["outcome"])
    assert raced.stopped in (outcome, "")
    assert (stream.is_done, stream.finish) == (True, [REASONS[outcome]])
    assert stream.text == full if outcome == "succeeded" else full.startswith(stream.text)
    assert row["measure"] == ("measured" if outcome == "succeeded" else "partial")
    assert (row["attempt"], track.calls(stream.request_id)) == (1, 1)
    async with client_of(stream.api) as asking:
        state = await asking.get(f"/api/v1/inference/{stream.request_id}")
    assert state.json()["state"] == outcome
    return outcome


async def whole_text(api: ApiProcess) -> str:
    """What the engine says if nobody stops it."""
    async with client(api, max_tokens=TOKENS).reading() as stream:
        await stream.over()
    return stream.text
