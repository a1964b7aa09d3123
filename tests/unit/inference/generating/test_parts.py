"""Parts of an answer: however much is asked for at once, and from wherever, they assemble to the whole."""

from hypothesis import given
from hypothesis import strategies as st

from penstock_common.contracts.generation import Tokens
from penstock_common.contracts.stream import Delta, Ended, Frame, ToolCall, Whole, channel_key
from penstock_inference.domain.output import PIECE, Output
from penstock_inference.domain.parts import Part, lacking, part_of

CHANNELS = st.sampled_from([(0, "content"), (0, "reasoning"), (1, "content"), (0, "tool.0")])
LOGPROBS = st.sampled_from([b"", b"", b'[{"token":"t"}]'])
SAID = st.lists(st.tuples(CHANNELS, st.text(min_size=1, max_size=8), LOGPROBS), max_size=30)
END = Ended(1, "succeeded", {0: "stop"}, {}, Tokens())
Said = list[tuple[tuple[int, str], str, bytes]]


def recorded(said: Said) -> list[Frame]:
    """What the row of an answer holds."""
    output = Output()
    if any(channel == "tool.0" for (_, channel), _, _ in said):
        output.add_call(0, 0, "id", "name")
    for key, text, logprobs in said:
        output.add_text(*key, text, logprobs)
    return [*output.since({}, 1), END]


class Holder:
    """Holds a beginning of every channel."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.calls: set[ToolCall] = set()
        self.ended = False

    @property
    def offsets(self) -> dict[str, int]:
        """What it says that it holds."""
        return {key: len(text) for key, text in self.texts.items()}

    def take(self, part: Part) -> None:
        """Take a part, which leaves no gap and contradicts nothing."""
        for frame in part.frames:
            assert not self.ended, "something after the end"
            if isinstance(frame, Delta):
                self._place(frame)
            elif isinstance(frame, ToolCall):
                self.calls.add(frame)
            else:
                self.ended = True

    def _place(self, delta: Delta) -> None:
        key = channel_key(delta.choice, delta.channel)
        held = self.texts.get(key, "")
        assert delta.offset <= len(held), "a gap"
        assert delta.text.startswith(held[delta.offset :][: len(delta.text)]), "a contradiction"
        self.texts[key] = held[: delta.offset] + delta.text + held[delta.offset + len(delta.text) :]

    def loses(self, data: st.DataObject) -> None:
        """Forget the last characters of any channel, as a message lost on its way does."""
        for key, text in self.texts.items():
            self.texts[key] = text[: data.draw(st.integers(0, len(text)))]


@given(SAID, st.data())
def test_any_questions_assemble_the_whole(said: Said, data: st.DataObject) -> None:
    """From any offsets, with any limit, in any order: no gap, no contradiction, and the end last and once."""
    frames, holder = recorded(said), Holder()
    for _ in range(data.draw(st.integers(0, 5))):
        part = part_of(lacking(frames, holder.offsets), data.draw(st.integers(1, 12)))
        if not part.is_all:
            holder.take(part)
            holder.loses(data)
    while not holder.ended:
        held = holder.offsets
        holder.take(part_of(lacking(frames, held), data.draw(st.integers(1, 12))))
        assert holder.ended or holder.offsets != held, "a part brought nothing"
    assert holder.texts == whole_of(frames).texts
    assert holder.calls == {frame for frame in frames if isinstance(frame, ToolCall)}


def whole_of(frames: list[Frame]) -> Holder:
    """Somebody who was sent everything at once."""
    holder = Holder()
    holder.take(part_of(lacking(frames, {}), 0))
    return holder


@given(SAID, st.integers(1, 12), st.data())
def test_a_part_keeps_to_its_limit_and_to_the_engines_stretches(said: Said, most: int, data: st.DataObject) -> None:
    """Text without logprobs is cut where it must be; text with logprobs comes as the engine gave it."""
    frames = recorded(said)
    whole = whole_of(frames).texts
    held = {key: data.draw(st.integers(0, len(text))) for key, text in whole.items()}
    part = part_of(lacking(frames, held), most)
    deltas = [frame for frame in part.frames if isinstance(frame, Delta)]
    assert sum(len(delta.text) for delta in deltas) <= most or (len(deltas) == 1 and deltas[0].logprobs)
    assert all(delta in frames for delta in deltas if delta.logprobs)
    stretches = [frame for frame in frames if isinstance(frame, Delta) and frame.logprobs]
    for delta in deltas:
        inside = [s for s in stretches if delta.logprobs == b"" and _overlap(s, delta)]
        assert inside == []


def _overlap(one: Delta, other: Delta) -> bool:
    same = (one.choice, one.channel) == (other.choice, other.channel)
    return same and max(one.offset, other.offset) < min(one.offset + len(one.text), other.offset + len(other.text))


def test_without_a_limit_everything_comes() -> None:
    """A question as older processes ask it."""
    frames = recorded([((0, "content"), "x" * (2 * PIECE + 1), b"")])
    assert part_of(lacking(frames, {}), 0) == Part(frames, is_all=True)


def test_who_holds_everything_lacks_the_end() -> None:
    """The last message was lost."""
    frames = recorded([((0, "content"), "all", b""), ((0, "tool.0"), "{}", b"")])
    assert list(lacking(frames, {"0/content": 3, "0/tool.0": 2})) == [END]


def test_more_held_than_was_said_is_as_good_as_everything() -> None:
    """An answer that ended at what an earlier attempt had delivered."""
    assert list(lacking(recorded([((0, "content"), "all", b"")]), {"0/content": 9})) == [END]


def test_opening_of_a_tool_call_comes_again_until_arguments_are_held() -> None:
    """An offset of 0 does not say whether the call is known."""
    frames = recorded([((0, "tool.0"), "{}", b"")])
    assert ToolCall(1, 0, 0, "id", "name") in lacking(frames, {"0/tool.0": 0})
    assert list(lacking(frames, {"0/tool.0": 1})) == [Delta(1, 0, "tool.0", 1, "}"), END]


def test_unstreamed_answer_is_not_parted() -> None:
    """Its body is one JSON document."""
    frames: list[Frame] = [Whole(1, b'{"some":"body"}'), END]
    assert part_of(lacking(frames, {}), 1) == Part(frames, is_all=True)
