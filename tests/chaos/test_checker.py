"""The checker is silent about a good history, and turns red at each way in which one can be bad."""

import json
from dataclasses import replace

import msgspec
import pytest

from tests.chaos.checker import Counted, charged_though_refused, check_story
from tests.chaos.histories import REQUEST, History, Telling, a_history, chunk
from tests.chaos.history import Booked, Ending, Entry, Habit, Heard, Row
from tests.chaos.script import Order

TEXT = 20
"""An event in the middle of the text."""
FAILURE = {"error": {"message": "The engine is down.", "type": "server_error", "param": None, "code": "x.down"}}


def renamed(heard: list[Heard]) -> list[Heard]:
    """The same words with positions that fit: what a platform would send that lost or doubled them by itself."""
    held, events = 0, []
    for number, each in enumerate(heard):
        for choice in json.loads(each.data)["choices"] if each.data != "[DONE]" else ():
            delta = choice["delta"]
            arguments = [call["function"].get("arguments") or "" for call in delta.get("tool_calls", ())]
            held += len((delta.get("content") or "") + "".join(arguments))
        events.append(Heard(each.at, f"1:9t0={held}.0,9{'x' * number}", each.data))
    return events


def test_a_good_history_is_good() -> None:
    """Several choices and a tool call, whole and charged once."""
    assert a_history().violations() == []


def test_an_answer_that_was_taken_over_is_good() -> None:
    """The first part from attempt 1, the rest from attempt 2, charged as attempt 2."""
    history = a_history(attempt=2)
    first = a_history(attempt=1).story.heard
    assert history.telling([*first[:TEXT], *history.story.heard[TEXT:]]).violations() == []


@pytest.mark.parametrize("place", [1, 2, TEXT, 26, 28])
def test_one_chunk_dropped(place: int) -> None:
    """Of any choice, or of the arguments of a tool call; even where the ids fit."""
    heard = list(a_history().story.heard)
    assert '"delta"' in heard.pop(place).data
    assert a_history().telling(heard).kinds() & {"text_differs", "done_on_truncated", "malformed"}
    assert a_history().telling(renamed(heard)).kinds() & {"text_differs", "done_on_truncated", "malformed"}


@pytest.mark.parametrize("place", [1, 2, TEXT, 26, 28])
def test_one_chunk_doubled(place: int) -> None:
    """Of any choice, or of the arguments of a tool call; even where the ids fit."""
    heard = list(a_history().story.heard)
    heard.insert(place, heard[place])
    assert a_history().telling(heard).kinds() & {"text_differs", "call_differs", "malformed"}
    assert a_history().telling(renamed(heard)).kinds() & {"text_differs", "call_differs", "role_twice"}


def test_two_chunks_changed_places() -> None:
    """Order counts."""
    heard = list(a_history().story.heard)
    heard[4], heard[6] = heard[6], heard[4]
    assert "text_differs" in a_history().telling(renamed(heard)).kinds()


def test_a_fenced_adapter_speaks() -> None:
    """Words of attempt 1 after words of attempt 2."""
    heard = list(a_history(attempt=2).story.heard)
    heard[TEXT] = a_history(attempt=1).story.heard[TEXT]
    assert "malformed" in a_history(attempt=2).telling(heard).kinds()


def test_a_fenced_adapter_is_paid() -> None:
    """The client saw attempt 2; charged is attempt 1."""
    assert "attempt_differs" in a_history(attempt=2).booking(attempt=1).kinds()


def test_a_truncated_answer_says_done() -> None:
    """The end of the text is missing, and everything else is as it should be."""
    order = a_history().story.plan.order
    short = Telling(1, msgspec.structs.replace(order, words=order.words - 1)).events()
    assert "done_on_truncated" in a_history().telling(short).kinds()


def test_done_after_an_error() -> None:
    """An error is the end."""
    heard = a_history().story.heard
    error = Heard(9.0, heard[TEXT].id + "!1", json.dumps(FAILURE))
    assert {"malformed", "done_on_truncated"} <= a_history().telling([*heard[:TEXT], error, heard[-1]]).kinds()


def test_an_error_that_explains_nothing() -> None:
    """No code, no message."""
    heard = a_history().story.heard
    error = Heard(9.0, heard[TEXT].id + "!1", '{"error": {"message": ""}}')
    assert "malformed" in a_history().telling([*heard[:TEXT], error], Ending.FAILED).kinds()


def test_two_ends() -> None:
    """[DONE] comes once."""
    heard = a_history().story.heard
    assert {"ends", "malformed"} <= a_history().telling([*heard, heard[-1]]).kinds()


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.HANGING])
def test_an_accepted_answer_is_lost(ending: Ending) -> None:
    """It stops in the middle and can't be had."""
    assert "lost" in a_history().telling(a_history().story.heard[:TEXT], ending).kinds()


def test_a_stream_ends_as_if_all_were_well() -> None:
    """Although the client got the rest by coming back."""
    history = a_history()
    story = msgspec.structs.replace(history.story, clean_cuts=1)
    assert "silent_cut" in replace(history, story=story).kinds()


def test_cancelled_though_nobody_stopped_it() -> None:
    """And the same is fine where somebody did."""
    history = a_history().booking(outcome="cancelled", measure="partial", completion=9)
    heard = history.story.heard[:TEXT]
    ends = [chunk(0, {}, "cancelled"), chunk(1, {}, "cancelled"), {"choices": [], "usage": {"completion_tokens": 9}}]
    told = [Heard(9.0, f"{heard[-1].id}!{n}", json.dumps(end)) for n, end in enumerate(ends, 1)]
    history = history.telling([*heard, *told, Heard(9.0, f"{heard[-1].id}!4", "[DONE]")])
    assert "done_on_truncated" in history.kinds()
    story = msgspec.structs.replace(
        history.story, stopped=True, plan=msgspec.structs.replace(history.story.plan, habit=Habit.STOPS)
    )
    assert replace(history, story=story).kinds() == set()


def test_events_without_ids() -> None:
    """Nobody could come back from there."""
    heard = [Heard(each.at, "", each.data) for each in a_history().story.heard]
    assert "malformed" in a_history().telling(heard).kinds()


BOOKS: dict[str, tuple[History, str]] = {
    "charged twice": (
        replace(a_history(), booked=Booked(a_history().booked.row, [*a_history().booked.entries] * 2)),
        "charged_twice",
    ),
    "not charged": (replace(a_history(), booked=Booked(a_history().booked.row)), "not_charged"),
    "another count than the engine's": (a_history().booking(completion=7), "charge_differs"),
    "another count than the row's": (
        replace(a_history(), booked=Booked(a_history().booked.row, [Entry("customer", 1, "succeeded", 12, 3)])),
        "charge_differs",
    ),
    "another outcome": (a_history().booking(outcome="partial"), "outcome_differs"),
    "no end": (replace(a_history(), booked=Booked(Row(2, "running", "measured", 0, 0))), "never_ended"),
    "no row": (replace(a_history(), booked=Booked()), "never_ended"),
    "the engine never finished": (replace(a_history(), counted=Counted([], 5)), "charge_differs"),
}


@pytest.mark.parametrize("name", BOOKS)
def test_books_that_disagree(name: str) -> None:
    """With what the client heard, or with what the engine counted."""
    history, kind = BOOKS[name]
    assert kind in history.kinds()


def test_a_refused_request_that_ran_is_counted() -> None:
    """The bus took it without saying so in time: no promise is broken, and the report tells."""
    history = a_history().telling([], Ending.REFUSED)
    outcome, _ = check_story(history.story)
    assert charged_though_refused([outcome], {REQUEST: history.booked}) == 1
    assert charged_though_refused([outcome], {REQUEST: Booked()}) == 0


def test_an_unstreamed_answer_is_read_as_well() -> None:
    """A body instead of events, with the same promises."""
    order = Order(key="7-2", words=3)
    history = a_history(order=order)
    text = "".join(json.loads(each.data)["choices"][0]["delta"].get("content", "") for each in history.story.heard[1:4])
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    plan = msgspec.structs.replace(history.story.plan, habit=Habit.WHOLE)
    for content, kinds in ((text, set()), (text[:-1], {"done_on_truncated"})):
        choice["message"] = {"role": "assistant", "content": content}
        body = json.dumps({"choices": [choice], "usage": {"completion_tokens": 3}})
        story = msgspec.structs.replace(history.story, plan=plan, heard=[], body=body)
        assert replace(history, story=story).kinds() == kinds
