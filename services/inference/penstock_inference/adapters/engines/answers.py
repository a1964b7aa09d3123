"""An engine's answer from its bytes: streamed, or whole."""

import contextlib
from collections.abc import Iterator

import msgspec

from penstock_common.errors import PenstockError
from penstock_inference.adapters.engines.chunks import Completion, Message, decode_completion, tokens_of
from penstock_inference.adapters.engines.failures import failure_told
from penstock_inference.adapters.engines.halves import replaced
from penstock_inference.adapters.engines.reading import AnswerReader
from penstock_inference.adapters.engines.sse import SseParser, SseTooLarge
from penstock_inference.domain.errors import EngineCut, EngineGarbled
from penstock_inference.ports import EngineEvent, WholeAnswer

DONE = b"[DONE]"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class AnswerStream:
    """One streamed answer."""

    def __init__(self, choices: int, request: str, members: dict[str, msgspec.Raw] | None = None) -> None:
        self.is_over = False
        self._members = members
        """Where all members of the chunks are kept, the last of each; nowhere if None."""
        self.failure: PenstockError | None = None
        """What went wrong after the events of the last feed."""
        self._reader = AnswerReader(choices, request)
        self._parser = SseParser()
        self._is_stream = False

    @property
    def is_complete(self) -> bool:
        """Whether every choice has finished; counts may still follow."""
        return self._reader.is_complete

    def feed(self, data: bytes) -> list[EngineEvent]:
        """The events in these bytes; none are the end of the body."""
        events: list[EngineEvent] = []
        try:
            for payload in self._payloads(data):
                events += self._reader.end() if self.is_over else self._read(payload)
            if not data and not self.is_over:
                self._end_of_body()
        except EngineGarbled as error:
            self._unreadable(error, at_end=not data)
        except PenstockError as error:
            self.failure = error
        return events

    def _read(self, payload: bytes) -> list[EngineEvent]:
        if self._members is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                self._members |= _members(payload)
        return self._reader.read(payload)

    def _unreadable(self, error: EngineGarbled, *, at_end: bool) -> None:
        """Whatever follows a complete answer, it is complete; half an event at the end of the body is a cut."""
        if self.is_complete:
            self.is_over = True
        else:
            self.failure = EngineCut() if at_end and self._is_stream and not self.is_over else error

    def _payloads(self, data: bytes) -> Iterator[bytes]:
        try:
            payloads = self._parser.feed(data) if data else self._parser.finish()
        except SseTooLarge as error:
            raise EngineGarbled("the model's engine sent a line of more than 8 MB") from error
        for payload in payloads:
            self._is_stream = True
            self.is_over = DONE in payload and payload.strip() == DONE
            if payload and not payload.isspace():
                yield payload
            if self.is_over:
                return

    def _end_of_body(self) -> None:
        self.is_over = True
        if not self._is_stream:
            raise EngineGarbled("the model's engine did not answer with a stream of events")
        if not self._reader.is_complete:
            raise EngineCut


def unstreamed(body: bytes) -> PenstockError:
    """What a JSON body means where a stream was asked for."""
    if failure := failure_told(completion_in(body), body):
        return failure
    return EngineGarbled("the model's engine answered with one object where a stream was asked for")


def whole_answer(body: bytes) -> WholeAnswer:
    """An unstreamed answer. Raises what the engine says went wrong, or EngineGarbled."""
    try:
        completion = completion_in(body)
    except EngineGarbled:  # perhaps by halves of surrogate pairs, which no text may hold
        body = replaced(body)
        completion = completion_in(body)
    if failure := failure_told(completion, body):
        raise failure
    choices = [(choice, choice.message) for choice in completion.choices or () if choice.message is not None]
    if not choices:
        raise EngineGarbled("the model's engine answered without any choice")
    text = "".join(part for _, message in choices for part in texts(message))
    finish = {choice.index: choice.finish_reason or "stop" for choice, _ in choices}
    return WholeAnswer(body, tokens_of(completion.usage, bool(text)), finish, text)


def completion_in(body: bytes) -> Completion:
    """The object in a body. Raises EngineGarbled."""
    try:
        body.decode()
        return decode_completion(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EngineGarbled from error


def texts(message: Message) -> Iterator[str]:
    """Everything in a message that was generated."""
    yield from filter(None, (message.reasoning_content or message.reasoning, message.content, message.refusal))
    for call in message.tool_calls or ():
        if call.function:
            yield from filter(None, (call.function.name, call.function.text))
