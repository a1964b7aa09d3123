"""Answers in the exact shape of OpenAI's chat completions, whole and as server-sent events."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock_api.domain.answer import Answer, Piece, Restarted, Role
from penstock_api.domain.errors import AnswerBroken
from penstock_api.domain.position import CODES, place_of
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.contracts.stream import Delta, Ended, Failure, ToolCall
from penstock_common.errors import Fault

encode = msgspec.json.encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

BLOCK = 32 * 1024  # bytes that are rendered ahead of the client's reading

FIELDS = {"reasoning": "reasoning_content"}
"""Members of `delta` that are not named as their channel."""
TEXTS = {name: b'{"%b":%%b}' % FIELDS.get(name, name).encode() for name in CODES}
"""The `delta` of each channel but those of tool calls."""

OPENAI_CODES = {
    "api.model_not_found": "model_not_found",
    "api.key_missing": "invalid_api_key",
    "api.key_malformed": "invalid_api_key",
    "api.key_unknown": "invalid_api_key",
    "inference.context_length_exceeded": "context_length_exceeded",
    "inference.model_unknown": "model_not_found",
}
"""Codes that OpenAI's clients know by another name."""

TYPES = {
    Fault.UNAUTHENTICATED: "authentication_error",
    Fault.FORBIDDEN: "permission_error",
    Fault.LIMITED: "rate_limit_error",
    Fault.UNAVAILABLE: "server_error",
    Fault.TIMEOUT: "server_error",
    "crash": "server_error",
}


def error_object(failure: Failure, param: str | None = None) -> dict[str, Any]:
    """The OpenAI error object."""
    return {
        "error": {
            "message": failure.message,
            "type": TYPES.get(failure.fault, "invalid_request_error"),
            "param": param,
            "code": OPENAI_CODES.get(failure.code, failure.code),
        }
    }


def failure_event(failure: Failure, position: bytes) -> bytes:
    """The event that tells of a failure in mid-stream; no mark of the end follows it."""
    return b"id: %b\ndata: %b\n\n" % (position, encode(error_object(failure)))


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """Token counts as OpenAI's `usage`."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


@dataclass(frozen=True, slots=True)
class Identity:
    """What every object of one answer says of itself."""

    id: str
    """`chatcmpl-<request id>`."""
    created: int
    """Unix seconds."""
    model: str
    """As the client asked for it."""


def completion(body: bytes, ended: Ended, identity: Identity) -> bytes:
    """An engine's unstreamed answer under our id, model and usage. Raises AnswerBroken."""
    try:
        engine = _members(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerBroken from error
    own = {
        "id": identity.id,
        "object": "chat.completion",
        "created": identity.created,
        "model": identity.model,
        "usage": usage_of(ended.tokens),
    }
    return encode(engine | own)


@dataclass(slots=True)
class EventWriter:
    """Renders an answer as `chat.completion.chunk` events, no further than the client reads.

    The id of each event is the position after it: a client that comes back with it gets what follows.
    """

    identity: Identity
    includes_usage: bool
    _head: bytes = field(init=False)
    _tail: bytes = field(init=False)

    def __post_init__(self) -> None:
        i = self.identity
        names = {"id": i.id, "object": "chat.completion.chunk", "created": i.created, "model": i.model}
        self._head = encode(names)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self.includes_usage else b"]}\n\n"

    def has_news(self, answer: Answer) -> bool:
        """Whether `render` gives something."""
        return answer.has_news

    def render(self, answer: Answer) -> bytes:
        """The events of what arrived and was not rendered yet, about 32 KiB at most; empty where there is none."""
        parts: list[bytes] = []
        size = 0
        while size < BLOCK and (piece := answer.take()) is not None:
            parts.append(self.event(answer.position(), piece))
            size += len(parts[-1])
        return b"".join(parts)

    def event(self, position: bytes, piece: Piece) -> bytes:
        """The event of one piece."""
        if isinstance(piece, Restarted):
            return restarted_event(position, piece)
        return self._chunk(position, piece.choice, _delta(piece), _logprobs(piece))

    def told_all(self, answer: Answer) -> bool:
        """Whether the client has every event of an answer that is over."""
        ended = answer.end
        if ended is None or answer.broken or answer.has_news or not answer.ends_told:
            return False
        return answer.failure is not None or answer.ends_told > len(closings(ended)) + self.includes_usage

    def end(self, answer: Answer, ended: Ended) -> bytes:
        """The finish reasons, the usage where asked for, and the mark of a real end: those that the client lacks."""
        parts: list[bytes] = []
        for choice, reason in closings(ended)[answer.ends_told :]:
            if answer.tell_role(choice):
                parts.append(self.event(answer.position(), Role(choice)))
            answer.tell_end()
            parts.append(self._chunk(answer.position(), choice, b"{}", b"null", encode(reason)))
        if self.includes_usage and answer.ends_told == len(closings(ended)):
            answer.tell_end()
            usage = encode(usage_of(ended.tokens))
            parts.append(b"id: %b\ndata: %b" % (answer.position(), self._head) + b'],"usage":' + usage + b"}\n\n")
        answer.tell_end()
        return b"".join([*parts, b"id: %b\ndata: [DONE]\n\n" % answer.position()])

    def _chunk(
        self, position: bytes, choice: int, delta: bytes, logprobs: bytes = b"null", finish: bytes = b"null"
    ) -> bytes:
        return b'id: %b\ndata: %b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}%b' % (
            position,
            self._head,
            choice,
            delta,
            logprobs,
            finish,
            self._tail,
        )


def closings(ended: Ended) -> list[tuple[int, str]]:
    """Each choice that ends, and why. One that was cut short by a stop was cancelled; the first always was there."""
    if ended.outcome != Outcome.CANCELLED:
        return sorted(ended.finish.items())
    begun = {0, *ended.finish, *(place_of(key)[0] for key in ended.lengths)}
    return [(choice, ended.finish.get(choice, Outcome.CANCELLED)) for choice in sorted(begun)]


def restarted_event(position: bytes, piece: Restarted) -> bytes:
    """The event of a native stream whose answer begins anew."""
    return b'event: attempt\nid: %b\ndata: {"attempt":%d,"restarts":true}\n\n' % (position, piece.attempt)


def _delta(piece: Delta | ToolCall | Role) -> bytes:
    if isinstance(piece, Delta):
        text = encode(piece.text)
        if form := TEXTS.get(piece.channel):
            return form % text
        return b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (int(piece.channel[5:]), text)
    if isinstance(piece, ToolCall):
        call = {
            "index": piece.index,
            "id": piece.id,
            "type": "function",
            "function": {"name": piece.name, "arguments": ""},
        }
        return encode({"tool_calls": [call]})
    return b'{"role":"assistant","content":"","refusal":null}'


def _logprobs(piece: Delta | ToolCall | Role) -> bytes:
    if not isinstance(piece, Delta) or not piece.logprobs:
        return b"null"
    if piece.channel == "refusal":
        return b'{"content":null,"refusal":%b}' % piece.logprobs
    return b'{"content":%b,"refusal":null}' % piece.logprobs
