"""Any api process learns of any request, and gets as much of its answer at a time as it has room for."""

import pytest

from penstock_common.contracts.generation import About, OnDisconnect
from penstock_inference.app import App
from tests.integration.inference.listening.conftest import MODEL, Command
from tests.integration.inference.listening.probe import Probe, probing
from tests.support.engine_fake import Answer, End, FakeEngine, chunk, completion, event, stream, usage_chunk

pytestmark = pytest.mark.integration

TEXT = "The river is deep and wide. " * 40
HOLDS = Answer([event(chunk(content=TEXT))], end=End.HANG)
WHOLE = stream(chunk(content=TEXT), chunk(finish="stop"), usage_chunk(7, 280))


async def test_running_request_is_found_with_all_that_a_client_may_ask(
    probe: Probe, command: Command, upstream: FakeEngine
) -> None:
    """Whoever runs it tells what was asked, since when, and by whom."""
    upstream.will(HOLDS)
    asked = command(asked="an-alias", includes_usage=True)
    await probe.publish(asked)
    await probe.until(lambda: probe.texts == {"0/content": TEXT})
    found = await probe.find(asked.request_id)
    assert found.about == About.of(asked)
    assert found.started_at
    assert found.first_token_at
    assert found.started_at <= found.first_token_at


async def test_running_answer_comes_in_parts_and_then_by_itself(
    probe: Probe, command: Command, upstream: FakeEngine, bus_url: str
) -> None:
    """Nothing follows a part that is not the last; what follows the last one comes unasked."""
    upstream.will(Answer([event(chunk(content=TEXT)), 1.5, *WHOLE.pieces[1:]]))
    asked = command()
    await probe.publish(asked)
    await probe.until(lambda: bool(probe.texts))
    async with probing(bus_url) as other:
        while other.held.get("0/content", 0) < len(TEXT):
            held = other.held
            await other.attach(asked.request_id, offsets=held, most=500)
            await other.until(lambda held=held: other.held != held)
            assert other.held["0/content"] <= held.get("0/content", 0) + 500
        await other.until(lambda: bool(other.ends))
        assert other.texts == {"0/content": TEXT}
        assert other.ends == probe.ends


async def test_recorded_answer_comes_in_parts(probe: Probe, command: Command, upstream: FakeEngine) -> None:
    """By as many questions as it takes, from what is held on; the end comes with the last one only."""
    upstream.will(WHOLE)
    asked = command()
    await probe.publish(asked)
    await probe.until(lambda: bool(probe.ends))
    [end] = probe.ends
    probe.frames.clear()
    sizes = []
    while not probe.ends:
        held = probe.held
        state = await probe.read(asked.request_id, offsets=held, most=500)
        assert state.outcome == "succeeded"
        await probe.until(lambda held=held: probe.held != held)
        await probe.until(lambda: probe.ends or probe.held["0/content"] < len(TEXT))
        sizes.append(probe.held["0/content"] - held.get("0/content", 0))
    assert sizes == [500, 500, len(TEXT) - 1000]
    assert probe.texts == {"0/content": TEXT}
    assert probe.ends == [end]


async def test_recorded_answer_tells_of_itself(probe: Probe, command: Command, upstream: FakeEngine) -> None:
    """State, tokens and times, without its text where nobody asks for that."""
    upstream.will(WHOLE)
    asked = command(asked="an-alias", includes_usage=True)
    await probe.publish(asked)
    await probe.until(lambda: bool(probe.ends))
    probe.frames.clear()
    state = await probe.read(asked.request_id, reply=False)
    assert state.about
    assert (state.about.model, state.about.asked, state.about.includes_usage) == (MODEL, "an-alias", True)
    assert (state.outcome, state.attempt, state.is_kept) == ("succeeded", 1, True)
    assert state.tokens
    assert (state.tokens.prompt, state.tokens.completion) == (7, 280)
    assert state.started_at
    assert state.first_token_at
    assert state.ended_at
    assert state.started_at <= state.first_token_at <= state.ended_at
    assert probe.frames == []


async def test_nothing_is_known_of_a_request_that_never_was(probe: Probe, command: Command) -> None:
    """Which is an answer too."""
    state = await probe.read(command().request_id)
    assert (state.outcome, state.about) == ("unknown", None)


async def test_take_over_is_told_to_everyone(
    inference: App, probe: Probe, command: Command, upstream: FakeEngine, bus_url: str
) -> None:
    """Who attaches upon it misses nothing, though it did not accept the request."""
    upstream.will(completion("Deep."))
    asked = command(republished=True, streamed=False, on_disconnect=OnDisconnect.CONTINUE)
    async with probing(bus_url) as other:
        await probe.publish(asked)
        await other.until(lambda: bool(other.taken_over))
        [taken] = other.taken_over
        assert (taken.request_id, taken.process, taken.attempt) == (asked.request_id, inference.registry.process, 2)
