"""The id of an event: what is written is read again, and nothing else is."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import PositionInvalid
from penstock_api.domain.position import MAX_CHARACTERS, Mark, Position, Told
from penstock_common.contracts.stream import Delta, ToolCall

NAMES = ["content", "reasoning", "refusal", "tool.0", "tool.17"]
SAMPLE = "2:1,0r=42.9ae0daaf,0t3=0.0,2c=7.1!3"

positions = st.builds(
    lambda attempt, marks, roles, ends: Position(attempt, tuple(roles), marks, ends),
    st.integers(0, 10**8 - 1),
    st.dictionaries(
        st.builds(lambda choice, name: f"{choice}/{name}", st.integers(0, 7), st.sampled_from(NAMES)),
        st.builds(Mark, st.integers(0, 8_000_000), st.integers(0, 2**32 - 1)),
    ),
    st.lists(st.integers(8, 20), unique=True),
    st.integers(0, 30),
)


@given(positions)
def test_what_is_written_is_read_again(position: Position) -> None:
    """Every position survives its way through a client."""
    assert Position.parse(Told(position).word(position.attempt).decode()) == position


def test_a_position_says_which_roles_texts_and_ends_were_told() -> None:
    """An entry for each channel; a choice alone where only its role was told."""
    marks = {"0/reasoning": Mark(42, 0x9AE0DAAF), "0/tool.3": Mark(0, 0), "2/content": Mark(7, 1)}
    assert Position.parse(SAMPLE) == Position(2, (1,), marks, 3)
    assert Position.parse("0:") == Position()


@pytest.mark.parametrize(
    "word",
    [
        "",
        "1",
        "1:0c",
        "1:0c=3",
        "1:0c=3.zz",
        "1:0c=3.0ab",
        "1:0c=3.123456789",
        "1:0c=-3.ab",
        "1:0x=3.ab",
        "1:0t=3.ab",
        "1:00",
        "01:0",
        "1:0,",
        "1:,0",
        "1:0,0",
        "1:0,0c=3.ab",
        "1:0c=3.ab,0c=4.ab",
        "1:0!0",
        "1:0!",
        "1:0!1!1",
        "1:0 ",
        "1:0\n",
        "1:٣",
        "1:0c=123456789.ab",
        "x",
        "1:0c=3.AB",
        f"1:{','.join(map(str, range(2000)))}",
    ],
)
def test_what_was_never_an_id_is_refused(word: str) -> None:
    """Cut, made up, doubled, or too long."""
    with pytest.raises(PositionInvalid) as refused:
        Position.parse(word)
    assert refused.value.message.endswith(".")


def test_the_widest_answers_have_ids_that_are_read_again() -> None:
    """Eight choices with all of their channels, or a hundred and twenty-eight tool calls."""
    for keys in (
        [f"{choice}/{name}" for choice in range(8) for name in NAMES],
        [f"0/tool.{index}" for index in range(128)],
    ):
        wide = Position(99, (), {key: Mark(7_999_999, 2**32 - 1) for key in keys}, 10)
        word = Told(wide).word(99).decode()
        assert len(word) <= MAX_CHARACTERS
        assert Position.parse(word) == wide


def test_it_counts_what_the_reader_took() -> None:
    """Role, text and tool call, each after it was taken and not before."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 0, "aé"), ToolCall(1, 1, 0, "id", "f"), Delta(1, 1, "tool.0", 0, "{}")])
    words = []
    while answer.take():
        words.append(answer.position().decode())
    text, call = f"0c=2.{crc32('aé'.encode()):x}", crc32(b"id\0f")
    called = [f"1t0=0.{call:x}", f"1t0=2.{crc32(b'{}', call):x}"]
    assert words == ["1:0", f"1:{text}", f"1:{text},1", *(f"1:{text},{entry}" for entry in called)]
