"""What the core expects of its records: the real ones and the fake of its unit tests keep the same rules."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import Measure, Outcome, Tokens
from penstock_common.contracts.stream import Failure
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


async def test_read_tells_all_that_a_client_may_ask(records: Records, sealer: Sealer) -> None:
    """Of an answer that ended: what was asked, what it took, when, and why so."""
    accepted = Decision("accept", "interactive", "api-1")
    command = a_command(sealer, asked="an-alias", includes_usage=True, decisions=[accepted])
    failure = Failure("inference.engine_cut", "unavailable", "It was cut.", 5.0)
    ended = an_end(command, failure=failure, outcome=Outcome.PARTIAL, tokens=Tokens(3, 2, measure=Measure.PARTIAL))
    end = replace(ended, first_token_at=ended.started_at, decisions=[Decision("generate", "partial", failure.code)])
    await records.finish(end)
    recorded = await records.read(command.request_id)
    assert recorded
    state = recorded.state
    assert state.about
    assert (state.about.asked, state.about.includes_usage, state.about.streamed) == ("an-alias", True, True)
    assert (state.about.tenant, state.about.key_id, state.about.lane) == (command.tenant, command.key_id, "interactive")
    assert (state.about.accepted_at, state.about.deadline) == (command.accepted_at, command.deadline)
    assert (state.outcome, state.error_code, state.tokens) == ("partial", failure.code, end.tokens)
    assert (state.started_at, state.first_token_at, state.ended_at) == (end.started_at, end.started_at, end.ended_at)
    assert state.decisions == [accepted, *end.decisions]
    assert state.is_kept


async def test_text_is_read_only_where_it_is_asked_for(records: Records, sealer: Sealer) -> None:
    """A question about the state opens no answer, and says that there is one."""
    end = an_end(a_command(sealer))
    await records.finish(end)
    recorded = await records.read(end.command.request_id, with_answer=False)
    assert recorded
    assert (recorded.frames, recorded.state.is_kept) == ([], True)


async def test_running_request_tells_of_itself(records: Records, sealer: Sealer) -> None:
    """Claimed, not ended: what was asked is known, tokens and times are not."""
    command = a_command(sealer, asked="an-alias", includes_usage=True)
    await records.claim(command, "second")
    recorded = await records.read(command.request_id)
    assert recorded
    state = recorded.state
    assert state.about
    assert (state.about.asked, state.about.includes_usage) == ("an-alias", True)
    assert (state.outcome, state.tokens, state.ended_at, state.is_kept) == ("running", None, None, False)


async def test_suspect_that_makes_itself_known_tells_of_its_request(records: Records, sealer: Sealer) -> None:
    """A row of `confirm` says as much as one of `claim`."""
    command = a_command(sealer, asked="an-alias", includes_usage=True)
    await records.confirm(command, 1, "first")
    recorded = await records.read(command.request_id)
    assert recorded
    assert recorded.state.about
    assert (recorded.state.about.asked, recorded.state.about.includes_usage) == ("an-alias", True)


async def test_story_tells_of_every_attempt(records: Records, sealer: Sealer) -> None:
    """Who claimed stays known when the request ended."""
    accepted = Decision("accept", "interactive", "api-1")
    command = a_command(sealer, decisions=[accepted])
    claims = [Decision("claim", f"attempt {n}", f"process-{n}") for n in (2, 3)]
    for n in (2, 3):
        await records.claim(command, f"process-{n}")
    running = await records.read(command.request_id)
    assert running
    assert running.state.decisions == [accepted, *claims]
    end = an_end(command, 3, decisions=[Decision("generate", "succeeded")])
    await records.finish(end)
    recorded = await records.read(command.request_id)
    assert recorded
    assert recorded.state.decisions == [*claims, accepted, *end.decisions]


async def test_model_without_alias_was_asked_by_its_name(records: Records, sealer: Sealer) -> None:
    """Rows of older processes name no other either."""
    end = an_end(a_command(sealer))
    await records.finish(end)
    recorded = await records.read(end.command.request_id)
    assert recorded
    assert recorded.state.about
    assert recorded.state.about.asked == end.command.model
