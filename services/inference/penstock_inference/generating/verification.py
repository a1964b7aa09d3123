"""Holds what another attempt says against what the client has."""

from collections.abc import Iterable, Iterator

import msgspec

from penstock_common.contracts.stream import channel_key, logprobs_after
from penstock_inference.domain.output import Output
from penstock_inference.domain.takeover import AnswerDiverged
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart


class Verification:
    """What the client has, and this attempt has not said yet."""

    def __init__(self, held: Output) -> None:
        self._texts = {key: channel.text() for key, channel in held.channels.items() if channel.length}
        self._said = dict.fromkeys(self._texts, 0)
        self._calls = {(choice, index): name for choice, index, _, name in held.calls}

    @property
    def is_done(self) -> bool:
        """Whether everything was said again."""
        return not self._texts and not self._calls

    def news(self, events: Iterable[EngineEvent]) -> Iterator[EngineEvent]:
        """What of these events the client lacks. Raises AnswerDiverged."""
        for event in events:
            if isinstance(event, TextDelta):
                yield from self._text(event)
            elif isinstance(event, ToolCallStart):
                yield from self._call(event)
            else:
                if isinstance(event, Finished):
                    self._must_be_whole(event.choice)
                yield event

    def must_follow(self, prefix: str) -> None:
        """The engine was given so much of the content, and does not say it again. Raises AnswerDiverged."""
        if prefix and list(self.news([TextDelta(0, "content", prefix)])):
            raise AnswerDiverged

    def must_be_done(self) -> None:
        """Raise AnswerDiverged where the answer ended and the client has more."""
        if not self.is_done:
            raise AnswerDiverged

    def _text(self, delta: TextDelta) -> Iterator[TextDelta]:
        key = channel_key(delta.choice, delta.channel)
        if key not in self._texts:
            yield delta
            return
        said = self._said[key]
        expected = self._texts[key][said : said + len(delta.text)]
        if not delta.text.startswith(expected):
            raise AnswerDiverged
        self._said[key] += len(expected)
        if self._said[key] == len(self._texts[key]):
            del self._texts[key]
        if len(expected) < len(delta.text):
            yield without_beginning(delta, len(expected))

    def _call(self, call: ToolCallStart) -> Iterator[ToolCallStart]:
        """A call that the client knows keeps its id there: engines make up a new one each time."""
        name = self._calls.pop((call.choice, call.index), None)
        if name is None:
            yield call
        elif name != call.name:
            raise AnswerDiverged

    def _must_be_whole(self, choice: int) -> None:
        texts = any(key.startswith(channel_key(choice, "")) for key in self._texts)
        if texts or any(of == choice for of, _ in self._calls):
            raise AnswerDiverged


def without_beginning(delta: TextDelta, characters: int) -> TextDelta:
    """A delta without its first characters, and without the logprobs of their tokens."""
    logprobs = logprobs_after(delta.logprobs, characters)
    return msgspec.structs.replace(delta, text=delta.text[characters:], logprobs=logprobs)
