"""What a submission's body comes to."""

import json
from typing import Any

import pytest

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.submission import Submission, submission_of

CHAT = {"model": "sim/fast", "messages": [{"role": "user", "content": "hello"}], "top_k": 3}


def checked(**members: Any) -> Submission:
    """A body, checked where an answer may take 300 seconds."""
    return submission_of(json.dumps({"request": CHAT} | members).encode(), 300.0)


def test_defaults() -> None:
    """An hour on the batch lane, in the middle of one's own."""
    found = checked()
    assert (found.seconds, found.priority, found.is_queued, found.embeds) == (3600, 5, True, False)


def test_an_interactive_one_takes_as_long_as_an_answer_may() -> None:
    """Unless it says less."""
    assert checked(lane="interactive").seconds == 300
    assert checked(lane="interactive", deadline_seconds=20).seconds == 20


def test_members_that_we_do_not_know_reach_the_engine() -> None:
    """The inner body is passed on as it is."""
    assert json.loads(checked().body) == CHAT


def test_priority_zero_is_one() -> None:
    """The lowest, not the usual."""
    assert checked(priority=0).priority == 0


def test_an_inner_mistake_is_told_from_the_outside() -> None:
    """Its place begins with `request`."""
    with pytest.raises(InvalidRequest) as error:
        checked(request={"model": "sim/fast", "messages": []})
    assert error.value.context["param"] == "request.messages"


@pytest.mark.parametrize("value", [True, "5", 5.5, None])
def test_a_priority_is_a_whole_number(value: object) -> None:
    """Nothing is taken for one; without a value it is the usual one."""
    if value is None:
        assert checked(priority=value).priority == 5
        return
    with pytest.raises(InvalidRequest) as error:
        checked(priority=value)
    assert error.value.context["param"] == "priority"
