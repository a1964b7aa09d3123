"""What the core expects of its records: the real ones and the fake of its unit tests keep the same rules."""

import asyncio
from typing import Any

import pytest

from penstock_common.sealing import Sealer
from penstock_inference.generating.ports import Records
from tests.integration.inference.records.ends import an_end
from tests.support.generation_fakes import MemoryRecords, a_command


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def records(request: pytest.FixtureRequest) -> Records:
    """Each implementation of the port."""
    made: Any = MemoryRecords() if request.param == "memory" else request.getfixturevalue("store").records
    return made  # type: ignore[no-any-return]


async def test_first_end_counts_and_is_read_back(records: Records, sealer: Sealer) -> None:
    """No claim is needed before the first attempt's end."""
    end = an_end(a_command(sealer))
    assert await records.read(end.command.request_id) is None
    assert await records.finish(end)
    recorded = await records.read(end.command.request_id)
    assert recorded
    assert (recorded.attempt, recorded.outcome, recorded.frames) == (1, "succeeded", end.frames)


async def test_second_end_does_not_count(records: Records, sealer: Sealer) -> None:
    """One row decides, and it keeps the first."""
    command = a_command(sealer)
    assert await records.finish(an_end(command, 1, "first"))
    assert not await records.finish(an_end(command, 2, "second"))
    recorded = await records.read(command.request_id)
    assert recorded
    assert recorded.frames == an_end(command, 1, "first").frames


async def test_ends_of_two_attempts_at_once_have_one_winner(records: Records, sealer: Sealer) -> None:
    """Whichever it is."""
    command = a_command(sealer)
    won = await asyncio.gather(*(records.finish(an_end(command, attempt)) for attempt in (1, 2, 3)))
    assert sum(won) == 1


async def test_claims_count_from_two(records: Records, sealer: Sealer) -> None:
    """Each take-over is a new attempt."""
    command = a_command(sealer)
    assert [await records.claim(command, f"process-{n}") for n in range(3)] == [2, 3, 4]
    recorded = await records.read(command.request_id)
    assert recorded
    assert (recorded.outcome, recorded.frames) == ("running", [])


async def test_claims_at_once_are_told_apart(records: Records, sealer: Sealer) -> None:
    """No two processes make the same attempt."""
    command = a_command(sealer)
    assert sorted(await asyncio.gather(*(records.claim(command, "p") for _ in range(4))), key=str) == [2, 3, 4, 5]


async def test_ended_request_can_not_be_claimed(records: Records, sealer: Sealer) -> None:
    """Its answer is repeated instead."""
    command = a_command(sealer)
    await records.finish(an_end(command))
    assert await records.claim(command, "late") is None


async def test_claimed_over_attempt_loses(records: Records, sealer: Sealer) -> None:
    """An older attempt that comes to its end does not count; the newest does."""
    command = a_command(sealer)
    assert await records.claim(command, "second") == 2
    assert not await records.finish(an_end(command, 1))
    assert await records.finish(an_end(command, 2))


async def test_confirmed_is_the_newest_attempt_only(records: Records, sealer: Sealer) -> None:
    """A suspect first attempt makes itself known; one that was claimed over, or has ended, is told so."""
    command = a_command(sealer)
    assert await records.confirm(command, 1, "first")
    assert await records.confirm(command, 1, "first")
    assert await records.claim(command, "second") == 2
    assert not await records.confirm(command, 1, "first")
    assert await records.confirm(command, 2, "second")
    await records.finish(an_end(command, 2))
    assert not await records.confirm(command, 2, "second")


async def test_nothing_is_cancelled_by_itself(records: Records, sealer: Sealer) -> None:
    """A stop is looked for by its request."""
    assert not await records.is_cancelled(a_command(sealer).request_id)
