"""The story of a message's attempts, as it travels in a header."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from penstock_common.messaging.attempts import Attempt, Story, attempted, continued, read_story, written_story
from penstock_common.messaging.deadletter import DeadLetter

TRACE = "0af7651916cd43dd8448eb211c80319c"


def an_attempt(number: int, reason: str = "KeyError: 'x'") -> Attempt:
    """One that said something."""
    return Attempt(number, "2026-11-21T12:00:00+00:00", "host:1", "KeyError", reason)


def test_an_attempt_says_who_when_and_in_which_trace() -> None:
    """What is too long is cut; without a trace it says none."""
    made = attempted(2, "common.bus_unavailable", "x" * 900, f"00-{TRACE}-b7ad6b7169203331-01")
    assert (made.number, made.code, made.trace, len(made.reason)) == (2, "common.bus_unavailable", TRACE, 200)
    assert made.process.endswith(f":{os.getpid()}")
    assert datetime.now(UTC) - datetime.fromisoformat(made.at) < timedelta(seconds=5)
    assert attempted(1, "x", "y", "").trace == ""


def test_a_story_keeps_its_beginning_and_its_end() -> None:
    """Ten attempts of any number; it is a header, and those have to stay small."""
    story: Story = ()
    for number in range(1, 301):
        story = continued(story, an_attempt(number, "é" * 200))
    assert [attempt.number for attempt in story] == [1, 2, 3, *range(294, 301)]
    assert len(written_story(story)) < 8192
    assert read_story(written_story(story)) == story


def test_attempts_on_another_lane_count_on() -> None:
    """After three on the first lane the next one is the fourth; one that left no word adds nothing."""
    first = continued((), an_attempt(3))
    assert [attempt.number for attempt in continued(first, an_attempt(1), earlier=3)] == [3, 4]
    assert continued(first, None) == first


@pytest.mark.parametrize("written", ["", "[", "7", '[{"number": "x"}]', '["a"]', "é"])
def test_what_is_no_story_is_none(written: str) -> None:
    """Anybody may write a header."""
    assert read_story(written) == ()


@pytest.mark.parametrize("count", ["x", "-1", "1e3", "٣", "9" * 30, ""])
def test_a_letter_with_nonsense_in_its_headers_is_still_a_letter(count: str) -> None:
    """It must not hold up those behind it."""
    letter = DeadLetter.parse({"dlq-attempts": count, "dlq-first": "yesterday", "dlq-last": "2026-11-21"}, b"body")
    assert (letter.attempts, letter.body, letter.story) == (0, b"body", ())
    assert letter.first_failed_at.tzinfo
    assert letter.last_failed_at == datetime(2026, 11, 21, tzinfo=UTC)


def test_the_code_is_that_of_the_last_attempt() -> None:
    """One that ended without a word after others has a code of its own."""
    story = written_story([an_attempt(1)])
    said = {"dlq-story": story, "dlq-reason": "KeyError: 'x'"}
    assert DeadLetter.parse(said, b"").code == "KeyError"
    silent = {"dlq-story": story, "dlq-reason": "delivery_limit of queue q reached without an answer"}
    assert DeadLetter.parse(silent, b"").code == DeadLetter.parse({}, b"").code == "delivery.no_answer"
