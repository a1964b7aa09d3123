"""A slow reader and whoever generates what it reads: text that was left out is asked for, part by part."""

from random import Random

import pytest

from penstock_api.domain.answer import Answer
from penstock_api.domain.backlog import LIMIT
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Beat, Delta, Ended, Frame, pack, unpack
from penstock_inference.domain.output import Output, Progress
from penstock_inference.generating.listening import Listener

COUNT = 150  # pieces that are generated


class Stream:
    """A generation, and an answer that listens to it as over a bus."""

    def __init__(self, random: Random) -> None:
        self.random, self.output, self.text, self.read = random, Output(), "", ""
        self.alphabet = random.choice(["ab \n", "ab é😀\n"])  # one byte a character, or four
        self.answer, self.listener = Answer(streamed=True), Listener(Progress(), 0, 0.0)
        self.ended = self.parts = 0

    def generate(self) -> None:
        """Say some more, and send it to whoever may hear it."""
        piece = "".join(self.random.choices(self.alphabet, k=self.random.choice([1, 50, 20_000])))
        self.text += piece
        self.output.add_text(0, "content", piece)
        self.serve()

    def end(self) -> None:
        """Say that this was all."""
        self.ended = 1
        self.serve(self.last)

    @property
    def last(self) -> Frame:
        """What tells that nothing is left to be asked for."""
        end = Ended(1, Outcome.SUCCEEDED, {0: "stop"}, self.output.lengths(), Tokens())
        return end if self.ended else Beat(1)

    def serve(self, *more: Frame) -> None:
        """Send what is due."""
        frames, everything = self.listener.due(self.output, 1)
        if everything:
            frames = [*frames, *more]
        if frames:
            self.answer.feed(unpack(pack(frames)))
            self.listener.was_sent(self.output, everything=everything)

    def take(self, pieces: int) -> None:
        """Read, and ask for what is missing where there is room."""
        while pieces and (piece := self.answer.take()) is not None:
            pieces -= 1
            self.read += piece.text if isinstance(piece, Delta) else ""
        if self.answer.gapped:
            self.parts += 1
            assert 0 < self.answer.most <= LIMIT
            self.listener = Listener(Progress(self.answer.offsets()), self.answer.most, 0.0)
            self.serve(self.last)
        assert self.answer.has_news or self.answer.end or not self.listener.paused, "nobody asks, nobody sends"


@pytest.mark.parametrize("seed", range(12))
async def test_however_slowly_it_is_read_it_is_read_whole(seed: int) -> None:
    """While the generation goes on and after it has ended, at any speeds of both."""
    random = Random(seed)
    stream, slowness = Stream(random), random.choice([1, 3, 10, 60])
    for step in range(COUNT):
        stream.generate()
        if step % slowness == 0:
            stream.take(random.choice([1, 2, 1000]))
    stream.end()
    for _ in range(10_000):
        if stream.answer.is_over and not stream.answer.has_news:
            break
        stream.take(random.choice([1, 5]))
    assert stream.answer.success()
    assert stream.read == stream.text


async def test_who_has_caught_up_hears_what_follows_without_asking() -> None:
    """The last part said that it was the last."""
    stream = Stream(Random(1))
    for _ in range(40):
        stream.generate()
    assert stream.answer.behind
    while stream.answer.has_news:
        stream.take(1)
    asked = stream.parts
    for _ in range(20):
        stream.generate()
        stream.take(1000)
    assert (stream.parts, stream.answer.most) == (asked, 0)
    assert stream.read == stream.text
