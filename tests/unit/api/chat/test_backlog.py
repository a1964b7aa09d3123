"""A client that reads slowly costs little, and misses nothing."""

import tracemalloc
from collections.abc import Iterator
from random import Random
from zlib import crc32

import pytest

from penstock_api.domain.answer import Answer
from penstock_api.domain.backlog import LIMIT
from penstock_api.domain.position import Position
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Beat, Delta, Ended, Frame, ToolCall, pack, unpack

COST = 128 * 1024  # bytes; rendered events and the socket take as much again
TEXTS = {"ascii": "Water flows. ", "latin": "Größe übt. ", "emoji": "😀 ok é "}


def told(answer: Answer, pieces: int = 10**9) -> str:
    """What a client reads of so many pieces."""
    text = ""
    while pieces and (piece := answer.take()) is not None:
        pieces -= 1
        text += piece.text if isinstance(piece, Delta) else ""
    return text


def messages(text: str, size: int, *, start: int = 0) -> Iterator[list[Frame]]:
    """A text as it comes off the bus: each message's strings are its own."""
    for at in range(start, len(text), size):
        yield unpack(pack([Delta(1, 0, "content", at, text[at : at + size])]))


def end_of(text: str) -> list[Frame]:
    return [Ended(1, Outcome.SUCCEEDED, {0: "stop"}, {"0/content": len(text)}, Tokens())]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("size", [4, 300, 64 * 1024])
def test_a_stalled_reader_costs_little_beyond_what_was_delivered(kind: str, size: int) -> None:
    """An answer of four million characters, in tokens or in blocks, the reader of which took a part and stopped."""
    text = TEXTS[kind] * (4_000_000 // len(TEXTS[kind]))
    answer = Answer(streamed=True)
    tracemalloc.start()
    try:
        for part in messages(text[:100_000], 1000):
            answer.feed(part)
            told(answer)
        delivered = tracemalloc.get_traced_memory()[0]
        for part in messages(text, size, start=100_000):
            answer.feed(part)
            if answer.behind and size == 4:
                break  # each of the other million is left out like the next
        del part
        answer.feed(next(messages(text, size, start=len(text) - 4)))
        answer.feed(end_of(text))
        cost = tracemalloc.get_traced_memory()[0] - delivered
    finally:
        tracemalloc.stop()
    assert answer.behind
    assert answer.end is None
    assert not answer.gapped
    assert cost <= COST


def test_what_was_delivered_costs_its_text_alone() -> None:
    """A long answer in small tokens is not held as so many small strings."""
    text = TEXTS["ascii"] * 16_000
    answer = Answer(streamed=True)
    tracemalloc.start()
    try:
        for message in messages(text, 4):
            answer.feed(message)
            told(answer)
        cost = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert cost < len(text) * 1.3


@pytest.mark.parametrize("seed", range(5))
def test_what_was_left_out_is_asked_for_once_there_is_room(seed: int) -> None:
    """Whoever has the answer sends what there is room for; nothing is lost, doubled or out of place."""
    random = Random(seed)
    text = "".join(random.choice("ab é😀\n") for _ in range(400_000))
    answer, read, asked = Answer(streamed=True), "", 0
    for message in messages(text, 7_000):
        answer.feed(message)
        read += told(answer, random.randint(0, 1))
    answer.feed(end_of(text))
    while answer.end is None:
        read += told(answer, 1)
        if answer.gapped:
            asked += 1
            held = answer.offsets()["0/content"]
            assert 0 < answer.most <= LIMIT
            answer.feed(next(messages(text[: held + answer.most], answer.most, start=held)))
    assert asked < 40
    assert read + told(answer) == text
    assert answer.success()


def test_only_what_there_is_room_for_is_asked_for() -> None:
    """What was lost on its way is asked for at once and whole, what was left out only as far as there is room."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 5, "later")])
    assert (answer.gapped, answer.behind, answer.most) == (True, False, 0)
    answer.feed([Delta(1, 0, "content", 0, "x" * 200_000)])
    assert (answer.gapped, answer.behind) == (False, True)
    assert 0 < answer.most < LIMIT
    told(answer)
    assert (answer.gapped, answer.behind) == (True, False)


def test_a_part_is_not_taken_for_all_before_its_sender_says_so() -> None:
    """More may have been said since text was left out: only a beat tells that nothing is left."""
    answer, text = Answer(streamed=True), "x" * 200_000
    answer.feed([Delta(1, 0, "content", 0, text)])
    while (held := answer.offsets()["0/content"]) < len(text):
        told(answer)
        answer.feed([Delta(1, 0, "content", held, text[held : held + 1000])])
    told(answer)
    assert (answer.gapped, answer.most > 0) == (True, True)
    answer.feed([Beat(1)])
    assert (answer.gapped, answer.most) == (False, 0)


def test_small_pieces_that_wait_are_joined() -> None:
    """Not those that carry logprobs, nor those of another channel."""
    answer = Answer(streamed=True)
    entries = b'[{"token":"b"}]'
    answer.feed([Delta(1, 0, "content", at, "a") for at in range(2000)])
    answer.feed([Delta(1, 0, "content", 2000, "b", entries), Delta(1, 0, "content", 2001, "c")])
    answer.feed([Delta(1, 1, "content", 0, "d"), Delta(1, 0, "content", 2002, "e")])
    pieces = [piece for piece in iter(answer.take, None) if isinstance(piece, Delta)]
    assert len(pieces) < 80
    assert [(p.offset, p.text, p.logprobs) for p in pieces[-4:]] == [
        (2000, "b", entries),
        (2001, "c", b""),
        (0, "d", b""),
        (2002, "e", b""),
    ]
    assert "".join(piece.text for piece in pieces[:-4]) == "a" * 2000


def test_a_piece_with_logprobs_is_taken_whole_or_not_at_all() -> None:
    """Its tokens belong to its text."""
    answer = Answer(streamed=True)
    big = b"[" + b'{"token":"%s"}' % (b"x" * 200_000) + b"]"
    answer.feed([Delta(1, 0, "content", 0, "x" * 200_000, big)])
    assert not answer.gapped
    answer.feed([Delta(1, 0, "content", 200_000, "y", b'[{"token":"y"}]')])
    assert answer.behind
    assert told(answer) == "x" * 200_000
    assert answer.gapped


def test_many_tool_calls_have_no_room_either() -> None:
    """An engine that opens tool calls without end is left out like one that talks."""
    calls = [ToolCall(1, 0, index, f"call_{index}", "f" * 500) for index in range(1000)]
    answer = Answer(streamed=True)
    answer.feed(calls)
    assert answer.behind
    heard = []
    while answer.has_news:
        heard += [piece for piece in iter(answer.take, None) if isinstance(piece, ToolCall)]
        answer.feed(calls)
    assert heard == calls


def test_what_is_held_is_told_as_frames() -> None:
    """What waits among it, for it may be read at any moment; as the attempt that asks would say it."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 0, "Water "), ToolCall(1, 0, 0, "call_1", "f")])
    told(answer)
    answer.feed([Delta(1, 0, "content", 6, "flows"), Delta(1, 0, "content", 20, "later")])
    called = ToolCall(1, 0, 0, "call_1", "f")
    assert answer.delivered_frames() == [Delta(1, 0, "content", 0, "Water flows"), called]
    answer.feed([Beat(2)])
    assert answer.delivered_frames() == [Delta(2, 0, "content", 0, "Water "), ToolCall(2, 0, 0, "call_1", "f")]


def test_what_a_client_brings_along_is_told_once_it_is_held() -> None:
    """Nobody can go on from a text that only its client has."""
    answer = Answer(streamed=True, after=Position.parse(f"1:0c=5.{crc32(b'Water'):x}"))
    answer.feed([Delta(1, 0, "content", 0, "Wat")])
    assert answer.delivered_frames() == []
    answer.feed([Delta(1, 0, "content", 3, "er flows")])
    assert answer.delivered_frames() == [Delta(1, 0, "content", 0, "Water flows")]
