"""The output of an attempt: whoever holds a part of it is sent exactly the rest."""

from hypothesis import given
from hypothesis import strategies as st

from penstock_common.contracts.stream import Delta, Frame, ToolCall, Whole
from penstock_inference.domain.output import PIECE, Output, Progress

CHANNELS = st.sampled_from([(0, "content"), (0, "reasoning"), (1, "content"), (0, "tool.0")])
LOGPROBS = st.sampled_from([b"", b"", b'[{"token":"t"}]'])
PIECES = st.lists(st.tuples(CHANNELS, st.text(max_size=6), LOGPROBS), max_size=40)


class Reader:
    """Holds what it was sent, by offset, and insists that nothing contradicts what it holds."""

    def __init__(self) -> None:
        self.texts: dict[tuple[int, str], str] = {}
        self.logprobs: dict[tuple[int, str], list[tuple[int, str, bytes]]] = {}
        self.calls: list[ToolCall] = []

    def read(self, frames: list[Frame]) -> None:
        """Take frames."""
        for frame in frames:
            if isinstance(frame, ToolCall):
                self.calls.append(frame)
            if isinstance(frame, Delta):
                self._place(frame)

    def _place(self, delta: Delta) -> None:
        key = (delta.choice, delta.channel)
        held = self.texts.get(key, "")
        assert delta.offset <= len(held), "a gap"
        overlap = held[delta.offset : delta.offset + len(delta.text)]
        assert delta.text.startswith(overlap), "a contradiction"
        self.texts[key] = held[: delta.offset] + delta.text + held[delta.offset + len(delta.text) :]
        if delta.logprobs:
            self.logprobs.setdefault(key, []).append((delta.offset, delta.text, delta.logprobs))


@given(PIECES, st.data())
def test_any_splits_reproduce_the_text(pieces: list[tuple[tuple[int, str], str, bytes]], data: st.DataObject) -> None:
    """Sent after any of the pieces, or all at once: the same text, and logprobs with the text they belong to."""
    output, reader, progress = Output(), Reader(), Progress()
    spoken: dict[tuple[int, str], str] = {}
    marks: dict[tuple[int, str], list[tuple[int, str, bytes]]] = {}
    for key, text, logprobs in pieces:
        if logprobs:
            marks.setdefault(key, []).append((len(spoken.get(key, "")), text, logprobs))
        spoken[key] = spoken.get(key, "") + text
        output.add_text(*key, text, logprobs)
        if data.draw(st.booleans()):
            reader.read(output.since(progress, 1))
            progress = output.progress()
    reader.read(output.since(progress, 1))
    assert reader.texts == {key: text for key, text in spoken.items() if text}
    assert reader.logprobs == {
        key: kept for key, given_ in marks.items() if (kept := [mark for mark in given_ if mark[1]])
    }
    assert output.lengths() == {f"{choice}/{channel}": len(text) for (choice, channel), text in spoken.items()}


@given(PIECES, st.data())
def test_whoever_holds_any_part_gets_the_rest(
    pieces: list[tuple[tuple[int, str], str, bytes]], data: st.DataObject
) -> None:
    """A client that re-attaches in the middle of a stretch with logprobs is sent that stretch whole."""
    output = Output()
    for key, text, logprobs in pieces:
        output.add_text(*key, text, logprobs)
    held = {key: data.draw(st.integers(0, channel.length)) for key, channel in output.channels.items()}
    reader = Reader()
    for name, channel in output.channels.items():
        reader.texts[channel.choice, channel.name] = channel.text()[: held[name]]
    reader.read(output.since(held, 1))
    for channel in output.channels.values():
        assert reader.texts[channel.choice, channel.name] == channel.text()


def test_nothing_new_is_nothing_to_send() -> None:
    """A listener that holds everything is sent nothing."""
    output = Output()
    output.add_call(0, 0, "c", "f")
    output.add_text(0, "tool.0", "{}")
    assert output.since(output.progress(), 1) == []


def test_tool_call_opens_before_its_arguments_and_once() -> None:
    """Each listener hears of a call once, in order of appearance."""
    output = Output()
    output.add_call(0, 0, "c", "f")
    output.add_text(0, "tool.0", "{")
    assert output.since({}, 3) == [ToolCall(3, 0, 0, "c", "f"), Delta(3, 0, "tool.0", 0, "{")]
    held = output.progress()
    output.add_call(0, 1, "d", "g")
    assert output.since(held, 3) == [ToolCall(3, 0, 1, "d", "g")]


def test_whole_answer_is_sent_once() -> None:
    """Until asked for again by one who has nothing."""
    output = Output()
    output.body = b"{}"
    assert output.since(Progress(), 1) == [Whole(1, b"{}")]
    assert output.since(output.progress(), 1) == []
    assert output.since({}, 1) == [Whole(1, b"{}")]


def test_long_text_comes_in_pieces_that_a_bus_takes() -> None:
    """No delta is longer than a piece; together they are the text."""
    output = Output()
    output.add_text(0, "content", "x" * (2 * PIECE + 1))
    deltas = [frame for frame in output.since({}, 1) if isinstance(frame, Delta)]
    assert [(d.offset, len(d.text)) for d in deltas] == [(0, PIECE), (PIECE, PIECE), (2 * PIECE, 1)]


def test_emptiness_is_about_what_a_client_could_see() -> None:
    """An opened channel without text is nothing yet; a call, a body or text is something."""
    output = Output()
    output.add_text(0, "content", "")
    assert output.is_empty
    output.add_call(0, 0, "c", "weather")
    assert not output.is_empty
    assert output.text() == "weather"
