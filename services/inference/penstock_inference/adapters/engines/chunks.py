"""OpenAI's chat completion objects as engines really send them: most fields optional, several spelled twice."""

from typing import Any

import msgspec

from penstock_common.contracts.generation import Tokens

NULL = b"null"
ABSENT = msgspec.Raw(NULL)
"""Of fields that were not there at all."""
MOST_TOKENS = 1 << 31


class Function(msgspec.Struct):
    """A tool call's function, or a part of it."""

    name: str | None = None
    arguments: Any = None

    @property
    def text(self) -> str:
        """The arguments as text; some engines send the object itself."""
        if self.arguments is None:
            return ""
        return self.arguments if isinstance(self.arguments, str) else msgspec.json.encode(self.arguments).decode()


class ToolCall(msgspec.Struct):
    """A tool call, or a part of it."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Message(msgspec.Struct):
    """A message, or what is new of it."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Logprobs(msgspec.Struct):
    """Probabilities of the tokens of a text; passed on unread."""

    content: msgspec.Raw = ABSENT


class Choice(msgspec.Struct):
    """One choice, or what is new of it."""

    index: int = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Completion(msgspec.Struct):
    """A `chat.completion.chunk` or a `chat.completion`."""

    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    object: Any = None
    error: msgspec.Raw = ABSENT
    error_type: str | None = None


class Details(msgspec.Struct):
    """Parts of a token count."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """An engine's own numbers."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for cached tokens."""


_usage = msgspec.json.Decoder(Usage).decode
decode_completion = msgspec.json.Decoder(Completion).decode


def is_given(raw: msgspec.Raw) -> bool:
    """Whether a field is there and not null."""
    return raw is not ABSENT and bytes(raw) != NULL


def tokens_of(raw: msgspec.Raw, produced: bool) -> Tokens | None:
    """The engine's counts; None where there are none, or none that can be true of an answer that has text."""
    if not is_given(raw):
        return None
    try:
        usage = _usage(raw)
    except msgspec.MsgspecError:
        return None
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    if not (0 < prompt < MOST_TOKENS and 0 <= completion < MOST_TOKENS) or (produced and not completion):
        return None
    details = usage.prompt_tokens_details
    cached = (details and details.cached_tokens) or usage.prompt_cache_hit_tokens or 0
    reasoning = (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0
    return Tokens(prompt, completion, cached=min(max(cached, 0), prompt), reasoning=min(max(reasoning, 0), completion))
