"""A second attempt is held against what the client has: what matches is left out, what differs ends it."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_inference.domain.output import Output
from penstock_inference.domain.takeover import AnswerDiverged
from penstock_inference.generating.verification import Verification
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart

TEXT = "The river goes on whatever happens."


def text(said: str, choice: int = 0, channel: str = "content") -> TextDelta:
    """Generated text."""
    return TextDelta(choice, channel, said)


def a_verification(content: str = "", *, call: str = "", arguments: str = "") -> Verification:
    """What a client has."""
    held = Output()
    if content:
        held.add_text(0, "content", content)
    if call:
        held.add_call(0, 0, "call_of_the_client", call)
        held.add_text(0, "tool.0", arguments)
    return Verification(held)


def cut(whole: str, places: Sequence[int]) -> list[str]:
    """A text in pieces."""
    at = [0, *sorted({place for place in places if 0 < place < len(whole)}), len(whole)]
    return [whole[start:end] for start, end in pairwise(at)]


@given(st.integers(0, len(TEXT)), st.lists(st.integers(1, len(TEXT)), max_size=6))
def test_only_what_is_new_comes_through(delivered: int, places: list[int]) -> None:
    """However engine and client had the text cut up, the client gets each character once."""
    verification = a_verification(TEXT[:delivered])
    news = [event for piece in cut(TEXT, places) for event in verification.news([text(piece)])]
    assert "".join(event.text for event in news if isinstance(event, TextDelta)) == TEXT[delivered:]
    verification.must_be_done()


DIVERGING: list[list[EngineEvent]] = [
    [text("The lake")],
    [text("The ri"), text("b")],
    [text("The riv"), Finished(0, "stop")],
    [Finished(0, "length")],
    [ToolCallStart(0, 0, "x", "look"), Finished(0, "tool_calls")],
]


@pytest.mark.parametrize("events", DIVERGING)
def test_another_text_or_less_of_it_ends_the_answer(events: list[EngineEvent]) -> None:
    """It is noticed at the first character that differs, and at the latest when the choice is finished."""
    with pytest.raises(AnswerDiverged):
        list(a_verification("The river").news(events))


def test_an_answer_without_an_end_is_noticed_too() -> None:
    """The engine stopped before it said what the client has."""
    verification = a_verification("The river")
    assert not list(verification.news([text("The")]))
    with pytest.raises(AnswerDiverged):
        verification.must_be_done()


def test_a_tool_call_keeps_the_id_that_the_client_knows() -> None:
    """Engines make up ids; the name and the arguments must be the same, and what follows is new."""
    verification = a_verification(call="look", arguments='{"x"')
    said: list[EngineEvent] = [
        ToolCallStart(0, 0, "another_id", "look"),
        text('{"x":1}', channel="tool.0"),
        ToolCallStart(0, 1, "b", "go"),
    ]
    assert list(verification.news(said)) == [text(":1}", channel="tool.0"), ToolCallStart(0, 1, "b", "go")]
    with pytest.raises(AnswerDiverged):
        list(a_verification(call="look", arguments="{}").news([ToolCallStart(0, 0, "a", "listen")]))


def test_another_choice_may_run_ahead() -> None:
    """Choices are compared one by one: their order is the engine's."""
    verification = a_verification("The river")
    ahead: list[EngineEvent] = [text("One", 1), Finished(1, "stop")]
    assert list(verification.news(ahead)) == ahead
    assert list(verification.news([text("The river.")])) == [text(".")]


def test_logprobs_of_what_is_left_out_are_left_out() -> None:
    """They belong to the tokens that remain."""
    entries = [{"token": "The", "logprob": -1}, {"token": " river", "logprob": -2}]
    said = TextDelta(0, "content", "The river", json.dumps(entries).encode())
    (rest,) = a_verification("The").news([said])
    assert isinstance(rest, TextDelta)
    assert (rest.text, json.loads(rest.logprobs)) == (" river", entries[1:])


def test_what_the_engine_was_given_is_not_expected_again() -> None:
    """The rest of what the client has is: an engine that takes no white space at the end says it first."""
    verification = a_verification("The river ")
    verification.must_follow("The river")
    assert list(verification.news([text(" goes")])) == [text("goes")]
