"""From an engine's chunks to events: choices, channels, tool calls, finish reasons, counts."""

from collections.abc import Iterator

import msgspec

from penstock_common.contracts.generation import Tokens
from penstock_inference.adapters.engines.chunks import (
    ABSENT,
    Choice,
    Completion,
    Function,
    Logprobs,
    Message,
    ToolCall,
    decode_completion,
    is_given,
    tokens_of,
)
from penstock_inference.adapters.engines.failures import failure_told
from penstock_inference.adapters.engines.halves import Halves, marked
from penstock_inference.domain.errors import EngineGarbled, readable
from penstock_inference.ports import EngineEvent, Finished, TextDelta, ToolCallStart, Used

MOST_CHARACTERS = 16 << 20
MOST_CHOICES = 128
MOST_TOOL_CALLS = 128


class OpenCall:
    """A tool call whose parts are still arriving."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.is_announced = False


class ToolCalls:
    """The tool calls of one choice."""

    def __init__(self, choice: int, request: str) -> None:
        self.choice, self._request = choice, request
        self._calls: dict[int, OpenCall] = {}

    def take(self, part: ToolCall) -> Iterator[EngineEvent]:
        """What a part of a call adds: the call itself once its name is whole, then its arguments."""
        index = self._index(part)
        if index not in self._calls:
            yield from self.settle()
            self._calls[index] = OpenCall()
        call, function = self._calls[index], part.function or Function()
        call.id = call.id or part.id or ""
        if function.name and not call.is_announced and function.name != call.name:
            call.name += function.name
        if text := function.text:
            yield from self._announce(index, call)
            yield TextDelta(self.choice, f"tool.{index}", text)

    def settle(self) -> Iterator[EngineEvent]:
        """Announce calls that have no arguments."""
        for index, call in self._calls.items():
            yield from self._announce(index, call)

    def _announce(self, index: int, call: OpenCall) -> Iterator[EngineEvent]:
        if not call.is_announced:
            call.is_announced = True
            id_ = call.id or f"call_{self._request}{self.choice:02}{index:02}"
            yield ToolCallStart(self.choice, index, id_, call.name)

    def _index(self, part: ToolCall) -> int:
        """Where a part belongs: by its id where that is new, by its index, else to the latest call."""
        by_id = next((i for i, call in self._calls.items() if part.id and call.id == part.id), None)
        if by_id is not None:
            return by_id
        latest = max(self._calls, default=0)
        index = latest if part.index is None else part.index
        held = self._calls.get(index)
        begins_another = part.id and part.function and part.function.name and held and held.id and held.id != part.id
        index = latest + 1 if begins_another else index
        if not 0 <= index < MOST_TOOL_CALLS:
            raise EngineGarbled("the model's engine sent a tool call with an impossible index")
        return index


class AnswerReader:
    """Reads one streamed answer."""

    def __init__(self, choices: int, request: str) -> None:
        self.expected = choices
        self.finished: set[int] = set()
        self.used: Tokens | None = None
        self._tools: dict[int, ToolCalls] = {}
        self._seen: set[int] = set()
        self._characters = 0
        self._request = request
        self._halves = Halves()

    @property
    def is_complete(self) -> bool:
        """Whether every choice that was asked for has finished."""
        return len(self.finished) >= self.expected

    @property
    def is_empty(self) -> bool:
        """Whether no choice was seen at all."""
        return not self._seen

    def read(self, data: bytes) -> list[EngineEvent]:
        """The events of one chunk. Raises what the engine says went wrong, or EngineGarbled."""
        chunk, has_halves = self._decoded(data)
        if not has_halves and not self._halves and (delta := plain_text(chunk)):
            self._seen.add(delta.choice)
            self._count(len(delta.text))
            return [delta]
        if failure := failure_told(chunk, data):
            raise failure
        events: list[EngineEvent] = []
        for choice in chunk.choices or ():
            events += self._choice(choice, has_halves or bool(self._halves))
        if is_given(chunk.usage):
            events += self._usage(chunk)
        return events

    def _decoded(self, data: bytes) -> tuple[Completion, bool]:
        """A chunk, and whether halves of surrogate pairs are marked in it."""
        try:
            try:
                return decode_completion(data), False
            except msgspec.DecodeError:
                return decode_completion(marked(data)), True
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EngineGarbled(f"the model's engine sent an unreadable chunk: {readable(str(error))}") from error

    def end(self) -> list[EngineEvent]:
        """What an explicit end means for choices that were begun and never finished."""
        if self.is_empty:
            raise EngineGarbled("the model's engine ended the answer without saying anything")
        return [event for index in sorted(self._seen - self.finished) for event in self._finish(index, "stop")]

    def _usage(self, chunk: Completion) -> list[EngineEvent]:
        tokens = tokens_of(chunk.usage, self._characters > 0)
        if tokens is None or tokens == self.used:
            return []
        self.used = tokens
        return [Used(tokens)]

    def _choice(self, choice: Choice, has_halves: bool) -> list[EngineEvent]:
        index = choice.index
        if not 0 <= index < MOST_CHOICES:
            raise EngineGarbled("the model's engine sent a choice with an impossible index")
        self._seen.add(index)
        events: list[EngineEvent] = []
        delta = choice.delta or choice.message
        if delta is not None:
            events += self._texts(index, delta, choice.logprobs)
            for part in delta.tool_calls or ():
                events += self._tool_calls(index).take(part)
        self._bound(events)
        if has_halves:
            events = list(self._halves.joined(events))
        if choice.finish_reason:
            events += self._finish(index, choice.finish_reason)
        return events

    def _texts(self, choice: int, delta: Message, logprobs: Logprobs | None) -> Iterator[EngineEvent]:
        if reasoning := delta.reasoning_content or delta.reasoning:
            yield TextDelta(choice, "reasoning", reasoning)
        if delta.content:
            given = logprobs is not None and is_given(logprobs.content)
            yield TextDelta(choice, "content", delta.content, bytes(logprobs.content) if logprobs and given else b"")
        if delta.refusal:
            yield TextDelta(choice, "refusal", delta.refusal)

    def _tool_calls(self, choice: int) -> ToolCalls:
        return self._tools.setdefault(choice, ToolCalls(choice, self._request))

    def _finish(self, choice: int, reason: str) -> list[EngineEvent]:
        if choice in self.finished:
            return []
        self.finished.add(choice)
        return [*self._halves.left(choice), *self._tool_calls(choice).settle(), Finished(choice, reason)]

    def _bound(self, events: list[EngineEvent]) -> None:
        self._count(sum(len(event.text) for event in events if isinstance(event, TextDelta)))

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MOST_CHARACTERS:
            raise EngineGarbled("the model's engine sent more than 16 MB of text")


def plain_text(chunk: Completion) -> TextDelta | None:
    """The text of a chunk that says nothing but that, as nearly all do; None for any other."""
    if not chunk.choices or len(chunk.choices) > 1 or chunk.usage is not ABSENT or chunk.error is not ABSENT:
        return None
    (choice,) = chunk.choices
    delta = choice.delta
    if delta is None or not delta.content or choice.finish_reason or choice.logprobs or chunk.object == "error":
        return None
    if delta.reasoning_content or delta.reasoning or delta.refusal or delta.tool_calls:
        return None
    return TextDelta(choice.index, "content", delta.content) if 0 <= choice.index < MOST_CHOICES else None
