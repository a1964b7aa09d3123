"""A client that comes back with the id of any event hears what follows it: nothing twice, nothing never."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Delta, Ended, Failure, Frame, ToolCall, channel_key
from tests.unit.api.chat.relaying import Client, relay

CHANNELS = [(0, "content"), (0, "reasoning"), (0, "tool.0"), (0, "tool.1"), (1, "content"), (2, "refusal")]
LATE = Failure("inference.engine_cut", "unavailable", "The engine broke off.")
Texts = dict[tuple[int, str], str]

texts = st.fixed_dictionaries({channel: st.text("ab é😀\n", max_size=12) for channel in CHANNELS})
cuts = st.lists(st.integers(1, 6), min_size=1, max_size=12)
ends = st.sampled_from([(Outcome.SUCCEEDED, None), (Outcome.CANCELLED, None), (Outcome.FAILED, LATE)])


def frames_of(written: Texts, sizes: list[int], attempt: int = 1) -> list[Frame]:
    """Channels taking turns in pieces of these sizes, the content with a logprobs entry for each character."""
    frames: list[Frame] = []
    for choice, name in written:
        if name.startswith("tool."):
            frames.append(ToolCall(attempt, choice, int(name[5:]), f"call_{choice}", "f"))
    left, turn = {channel: 0 for channel, text in written.items() if text}, 0
    while left:
        for channel, offset in list(left.items()):
            text = written[channel][offset : offset + sizes[turn % len(sizes)]]
            turn += 1
            entries = json.dumps([{"token": c} for c in text]).encode() if channel[1] == "content" else b""
            frames.append(Delta(attempt, *channel, offset, text, entries))
            left[channel] += len(text)
            if left[channel] == len(written[channel]):
                del left[channel]
    return frames


def end_of(written: Texts, outcome: Outcome, failure: Failure | None, attempt: int = 1) -> Ended:
    lengths = {channel_key(*channel): len(text) for channel, text in written.items()}
    finish = {0: "stop", 1: "length", 3: "stop"} if outcome is Outcome.SUCCEEDED else {}
    return Ended(attempt, outcome, finish, lengths, Tokens(3, 4), failure)


def messages_of(frames: list[Frame], sizes: list[int]) -> list[list[Frame]]:
    """Frames, so many in a message."""
    messages, at = [], 0
    for turn in range(len(frames)):
        messages.append(frames[at : at + sizes[turn % len(sizes)]])
        at += len(messages[-1])
    return [message for message in messages if message]


@given(texts, ends, st.booleans(), cuts, cuts, st.integers(1, 2), st.data())
def test_cut_after_any_event_the_rest_follows(
    written: Texts,
    end: tuple[Outcome, Failure | None],
    usage: bool,
    sizes: list[int],
    others: list[int],
    attempt: int,
    data: st.DataObject,
) -> None:
    """Whatever was said, however it arrives again, by whichever attempt."""
    uncut = relay(messages_of([*frames_of(written, sizes), end_of(written, *end)], sizes), usage=usage)
    heard, got = uncut.events, Client()
    at = data.draw(st.integers(1, len(heard)))
    got.hear(heard[:at])
    position = heard[at - 1].id
    again = messages_of([*frames_of(written, others, attempt), end_of(written, *end, attempt)], others)
    second = relay(again, usage=usage, after=position)
    if at == len(heard):
        assert (second.status, second.body) == (204, b"")
    else:
        rest = second.events
        twice = data.draw(st.integers(1, len(rest)))
        got.hear(rest[:twice])
        got.hear(relay(again, usage=usage, after=rest[twice - 1].id).events)
    assert got.told == Client().hear(heard).told
    assert got.text == {name_of(channel): text for channel, text in written.items() if text}


def name_of(channel: tuple[int, str]) -> tuple[int, str]:
    return (channel[0], "reasoning_content") if channel[1] == "reasoning" else channel


@given(texts, cuts, st.integers(0, 30), st.data())
def test_cut_in_a_take_over_the_rest_follows(
    written: Texts, sizes: list[int], taken_over_at: int, data: st.DataObject
) -> None:
    """The second attempt says the same: a client of the first's events goes on with it on any process."""
    first = frames_of(written, sizes)[:taken_over_at]
    second = [*frames_of(written, [2], attempt=2), end_of(written, Outcome.SUCCEEDED, None, 2)]
    heard = relay([*messages_of(first, sizes), *messages_of(second, [3])]).events
    at = data.draw(st.integers(1, len(heard)))
    got = Client().hear(heard[:at])
    got.hear(relay([*messages_of(first, [4]), *messages_of(second, [1])], after=heard[at - 1].id).events)
    assert got.told == Client().hear(heard).told


@given(texts.filter(lambda written: written[0, "content"] != ""), cuts, st.data())
def test_what_was_said_otherwise_is_noticed(written: Texts, sizes: list[int], data: st.DataObject) -> None:
    """Another process that holds another text than the client was told breaks off, and gives it nothing of it."""
    heard = relay(messages_of([*frames_of(written, sizes), end_of(written, Outcome.SUCCEEDED, None)], sizes)).events
    position = heard[-3].id
    assert position
    text = written[0, "content"]
    at = data.draw(st.integers(0, len(text) - 1))
    other = written | {(0, "content"): text[:at] + data.draw(st.sampled_from(["Z" + text[at + 1 :], ""]))}
    frames = [*frames_of(other, sizes, 2), end_of(other, Outcome.SUCCEEDED, None, 2)]
    broken = relay([frames], after=position)
    assert broken.status == 503
    assert json.loads(broken.body)["code"] == "api.answer_diverged"


@given(texts, texts, cuts, st.integers(0, 30), st.data())
def test_a_native_stream_begins_anew_where_the_attempt_does(
    written: Texts, other: Texts, sizes: list[int], taken_over_at: int, data: st.DataObject
) -> None:
    """Its client has the second attempt's answer in the end, whenever it was cut."""
    first = messages_of(frames_of(written, sizes)[:taken_over_at], sizes)
    second = messages_of([*frames_of(other, [2], attempt=2), end_of(other, Outcome.SUCCEEDED, None, 2)], [3])
    # What a process lacks after it began anew is asked for, and comes from the beginning.
    heard = relay([*first, *second, *second], restarts=True).events
    at = data.draw(st.integers(1, len(heard)))
    got = Client().hear(heard[:at])
    got.hear(relay([*first, *second, *second], after=heard[at - 1].id, restarts=True).events)
    assert got.told == Client().hear(heard).told
    assert got.told == Client().hear(relay(second).events).told


def test_another_tool_call_under_the_same_arguments_is_noticed() -> None:
    """The digest of a tool call's arguments begins with its id and name."""
    heard = relay([[ToolCall(1, 0, 0, "call_1", "f")]]).events
    assert relay([[ToolCall(2, 0, 0, "call_2", "f")]], after=heard[-1].id).status == 503
    again = relay([[ToolCall(2, 0, 0, "call_1", "f"), Delta(2, 0, "tool.0", 0, "{}")]], after=heard[-1].id)
    assert Client().hear(again.events).told == ({(0, "tool.0"): "{}"}, {}, [])


def test_a_position_of_an_attempt_that_never_was_is_refused() -> None:
    """The row of an earlier attempt says how the request ended: there was no later one."""
    ended = relay([[Ended(1, Outcome.SUCCEEDED, {0: "stop"}, {}, Tokens())]], after="7:")
    assert (ended.status, json.loads(ended.body)["code"]) == (400, "api.position_invalid")


def test_a_stopped_answer_that_said_less_than_was_delivered_still_ends() -> None:
    """The attempt that was stopped had not come as far as the one before it."""
    heard = relay([[Delta(1, 0, "content", 0, "Water flows.")]]).events
    stopped = Ended(2, Outcome.CANCELLED, {}, {"0/content": 5}, Tokens())
    rest = Client().hear(relay([[Delta(2, 0, "content", 0, "Water"), stopped]], after=heard[-1].id).events)
    assert rest.told == ({}, {}, [str(("done",)), str(("finish", 0, "cancelled"))])


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED])
def test_a_stream_that_ended_without_text_is_whole(outcome: Outcome) -> None:
    """Its role, its finish reason and the end; after that there is nothing more."""
    ended = Ended(1, outcome, {0: "stop"} if outcome is Outcome.SUCCEEDED else {}, {}, Tokens())
    heard = relay([[ended]]).events
    assert [event.id for event in heard] == ["1:0", "1:0!1", "1:0!2"]
    assert [len(relay([[ended]], after=event.id).events) for event in heard] == [2, 1, 0]


def test_a_failure_of_this_process_alone_is_not_the_end_of_the_answer() -> None:
    """A client that was told of one comes back for the finish reason, and gets it."""
    heard = relay([[Delta(1, 0, "content", 0, "a")], [Delta(2, 0, "content", 0, "b")]]).events
    assert json.loads(heard[-1].data)["error"]["code"] == "api.answer_diverged"
    ended = Ended(3, Outcome.SUCCEEDED, {0: "stop"}, {"0/content": 2}, Tokens())
    whole: list[Frame] = [Delta(3, 0, "content", 0, "ab"), ended]
    got = Client().hear(relay([whole], after=heard[-1].id).events)
    assert got.told == ({(0, "content"): "b"}, {}, [str(("done",)), str(("finish", 0, "stop"))])
