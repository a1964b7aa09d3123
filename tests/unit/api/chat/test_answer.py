"""Whatever a bus does to frames, the consumer reads one answer."""

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from penstock_api.domain.answer import Answer, Role
from penstock_api.domain.errors import AnswerDiverged, AnswerTooLong, GenerationCancelled, GenerationFailed
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Beat, Delta, Ended, Failure, Frame, ToolCall, Whole, channel_key

CHANNELS = [(0, "content"), (0, "reasoning"), (0, "tool.0"), (1, "content"), (1, "tool.1")]
Texts = dict[tuple[int, str], str]

texts = st.fixed_dictionaries({channel: st.text("ab é😀", max_size=30) for channel in CHANNELS})
cuts = st.lists(st.integers(1, 7), min_size=1, max_size=40)


def calls(attempt: int) -> list[Frame]:
    return [ToolCall(attempt, c, int(n[5:]), f"id{c}", "f") for c, n in CHANNELS if n.startswith("tool.")]


def frames_of(written: Texts, sizes: Sequence[int], attempt: int = 1) -> list[Frame]:
    """The texts in pieces of these sizes, channels taking turns, between the tool calls and the end."""
    frames, left, turn = calls(attempt), dict(written), 0
    offsets = dict.fromkeys(written, 0)
    while any(left.values()):
        for (choice, name), text in list(left.items()):
            piece = text[: sizes[turn % len(sizes)]]
            turn += 1
            if piece:
                frames.append(Delta(attempt, choice, name, offsets[choice, name], piece))
                offsets[choice, name] += len(piece)
                left[choice, name] = text[len(piece) :]
    return [*frames, end_of(written, attempt)]


def end_of(written: Texts, attempt: int = 1, outcome: Outcome = Outcome.SUCCEEDED) -> Ended:
    lengths = {channel_key(*channel): len(text) for channel, text in written.items()}
    return Ended(attempt, outcome, {0: "stop"}, lengths, Tokens())


def read(answer: Answer) -> Texts:
    """Everything that the consumer can take now, by channel."""
    taken: Texts = {}
    while (piece := answer.take()) is not None:
        if isinstance(piece, Delta):
            channel = (piece.choice, piece.channel)
            assert piece.offset == len(taken.get(channel, "")), "pieces come in order and without holes"
            taken[channel] = taken.get(channel, "") + piece.text
    return taken


def take_text(answer: Answer) -> Delta | ToolCall:
    """The next piece beside roles."""
    while isinstance(piece := answer.take(), Role):
        pass
    assert isinstance(piece, Delta | ToolCall)
    return piece


def non_empty(written: Texts) -> Texts:
    return {channel: text for channel, text in written.items() if text}


@given(texts, cuts, st.data())
def test_split_repeated_and_batched_frames_give_the_same_text(
    written: Texts, sizes: list[int], data: st.DataObject
) -> None:
    """Frames may come several in a message, more than once, and split in two ways."""
    answer = Answer(streamed=True)
    frames = frames_of(written, sizes)
    again = frames_of(written, data.draw(cuts))
    while frames:
        count = data.draw(st.integers(1, len(frames)))
        answer.feed(frames[:count])
        if data.draw(st.booleans()):
            answer.feed(again[: data.draw(st.integers(0, len(again) - 1))] if not frames[count:] else frames[:count])
        frames = frames[count:]
    assert answer.broken is None
    assert answer.end is not None
    assert read(answer) == non_empty(written)


@given(texts, cuts, st.randoms(use_true_random=False))
def test_lost_and_reordered_frames_are_noticed_and_filled(written: Texts, sizes: list[int], random: Random) -> None:
    """An answer is not taken for whole until it is, and sending it again fills the holes."""
    answer = Answer(streamed=True)
    frames = frames_of(written, sizes)
    some = random.sample(frames, random.randint(0, len(frames)))
    for frame in some:
        answer.feed([frame])
    if answer.end is None:
        answer.feed(frames)
    assert answer.end is not None
    assert not answer.gapped
    assert read(answer) == non_empty(written)


@given(texts, cuts, st.integers(0, 60))
def test_older_attempts_never_leak(written: Texts, sizes: list[int], taken_over_at: int) -> None:
    """After a take-over the first attempt's frames are dropped, whatever they say."""
    answer = Answer(streamed=True)
    first = frames_of(written, sizes)[:-1][:taken_over_at]
    answer.feed(first)
    answer.feed(frames_of(written, [3], attempt=2)[:-1])
    other = {channel: f"{text}?!" for channel, text in written.items()}
    answer.feed(frames_of(other, [1]))
    assert answer.end is None
    answer.feed([end_of(written, attempt=2)])
    assert answer.end is not None
    assert read(answer) == non_empty(written)


@given(texts, cuts, st.data())
def test_divergence_from_what_was_delivered_is_always_noticed(
    written: Texts, sizes: list[int], data: st.DataObject
) -> None:
    """Another attempt that says less or something else than the consumer read breaks the answer."""
    answer = Answer(streamed=True)
    answer.feed(frames_of(written, sizes)[:-1])
    delivered = read(answer)
    channel = data.draw(st.sampled_from(sorted(written)))
    text = written[channel]
    at = data.draw(st.integers(0, max(len(text) - 1, 0)))
    shorter = data.draw(st.booleans())
    other = written | {channel: text[:at] if shorter else f"{text[:at]}Z{text[at + 1 :]}"}
    frames = frames_of(other, data.draw(cuts), attempt=2)
    random = data.draw(st.randoms(use_true_random=False))
    for frame in random.sample(frames, len(frames)):
        answer.feed([frame])
    answer.feed(frames)
    if not text:  # nothing of it was delivered, so anything may follow
        assert answer.broken is None
        assert delivered | read_rest(answer, delivered) == non_empty(other)
    else:
        assert isinstance(answer.broken, AnswerDiverged)
        assert answer.end is None or answer.failure is answer.broken


def read_rest(answer: Answer, delivered: Texts) -> Texts:
    rest: Texts = {}
    while (piece := answer.take()) is not None:
        if isinstance(piece, Delta):
            channel = (piece.choice, piece.channel)
            rest[channel] = rest.get(channel, delivered.get(channel, "")) + piece.text
    return rest


def test_what_was_not_delivered_may_be_said_anew() -> None:
    """Text that only this process holds is forgotten with its attempt."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 0, "abc")])
    take_text(answer)
    answer.feed([Delta(1, 0, "content", 3, "def")])
    answer.feed([Delta(2, 0, "content", 0, "abcxyz"), end_of({(0, "content"): "abcxyz"}, 2)])
    piece = take_text(answer)
    assert isinstance(piece, Delta)
    assert (piece.offset, piece.text) == (3, "xyz")
    assert answer.success().attempt == 2


def test_what_follows_the_delivered_waits_for_what_was_said_before_it() -> None:
    """Of another attempt nothing is believed that merely fits behind what the consumer has."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 0, "Hello")])
    assert read(answer) == {(0, "content"): "Hello"}
    answer.feed([Delta(2, 0, "content", 5, " moon")])
    assert answer.gapped
    assert not answer.has_news
    answer.feed([Delta(2, 0, "content", 0, "Hello")])
    assert answer.gapped
    answer.feed([Delta(2, 0, "content", 5, " moon")])
    assert take_text(answer) == Delta(2, 0, "content", 5, " moon")


def test_another_tool_call_in_the_same_place_is_divergence() -> None:
    """The client has its id already."""
    answer = Answer(streamed=True)
    answer.feed([ToolCall(1, 0, 0, "call_1", "f")])
    take_text(answer)
    answer.feed([ToolCall(2, 0, 0, "call_2", "f")])
    assert isinstance(answer.broken, AnswerDiverged)


def test_offsets_are_what_the_present_attempt_need_not_repeat() -> None:
    """After a take-over everything is said again, to be compared."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 0, "abc"), Delta(1, 0, "content", 9, "later")])
    assert answer.gapped
    assert answer.offsets() == {"0/content": 3}
    take_text(answer)
    answer.feed([Beat(2)])
    assert answer.offsets() == {"0/content": 0}


def test_part_of_a_delta_keeps_the_logprobs_of_its_own_tokens() -> None:
    """What overlaps is dropped with its entries."""
    answer = Answer(streamed=True)
    answer.feed([Delta(1, 0, "content", 0, "Water ")])
    entries = b'[{"token":"Water ","logprob":-1.0},{"token":"flows","logprob":-2.0}]'
    answer.feed([Delta(1, 0, "content", 0, "Water flows", entries)])
    take_text(answer)
    piece = take_text(answer)
    assert isinstance(piece, Delta)
    assert (piece.text, piece.logprobs) == ("flows", b'[{"token":"flows","logprob":-2.0}]')


def test_unstreamed_success_waits_for_its_body() -> None:
    """An end whose body was lost is a gap."""
    answer = Answer(streamed=False)
    answer.feed([end_of({})])
    assert answer.gapped
    answer.feed([Whole(1, b"{}"), end_of({})])
    assert answer.success()
    assert answer.body == b"{}"


def test_failures_say_why() -> None:
    """The engine's failure, a cancellation, and an answer beyond the limit."""
    failed = Answer(streamed=True)
    failed.feed([Ended(1, Outcome.FAILED, {}, {}, Tokens(), Failure("x", "timeout", "Too late."))])
    assert isinstance(failed.failure, GenerationFailed)
    cancelled = Answer(streamed=False)
    cancelled.feed([Ended(1, Outcome.CANCELLED, {}, {}, Tokens())])
    assert isinstance(cancelled.failure, GenerationCancelled)
    long = Answer(streamed=True, limit=10)
    long.feed([Delta(1, 0, "content", 0, "x" * 11)])
    assert isinstance(long.failure, AnswerTooLong)
