"""How engines are asked to go on with an answer that was begun.

Sources: vLLM, "OpenAI-Compatible Server", extra parameters of the chat API (`continue_final_message` refuses
`add_generation_prompt`, whose default is true); llama.cpp, tools/server/README, the same two, and `echo`; DeepSeek,
"Chat Prefix Completion (Beta)" (`prefix` in the last message, below `/beta`); Anthropic, "Prefill Claude's response"
(the last message is the assistant's, and does not end in white space).
"""

from enum import StrEnum
from typing import Any, NamedTuple

LIMITS = ("max_completion_tokens", "max_tokens")
SURELY_REPEATED = 16  # characters: no engine says as many at once by chance


class TakeOver(StrEnum):
    """How an answer goes on whose process died after its client got a part of it."""

    PREFIX = "prefix"
    """The engine continues what the client has."""
    VERIFY = "verify"
    """A deterministic answer is generated again, and held against what the client has."""
    FAIL = "fail"
    """It ends where it was cut."""


class Prefill(StrEnum):
    """How a request says that its last message is the beginning of the answer."""

    NONE = "none"
    FLAGGED = "flagged"
    """By `continue_final_message`."""
    MARKED = "marked"
    """By `prefix` in that message."""
    BARE = "bare"
    """By nothing but its role."""


class Prefix(NamedTuple):
    """The beginning of an answer."""

    text: str = ""
    tokens: int = 0
    """An estimate."""


NO_PREFIX = Prefix()


def taken_by(prefill: Prefill, text: str) -> str:
    """As much of a text as an engine takes for a beginning; what it leaves out it says again."""
    if prefill is Prefill.NONE:
        return ""
    return text.rstrip() if prefill is Prefill.BARE else text


def continuing(request: dict[str, Any], prefix: Prefix, prefill: Prefill) -> dict[str, Any]:
    """The request for the rest of the answer, within what its limits leave."""
    message: dict[str, Any] = {"role": "assistant", "content": prefix.text}
    if prefill is Prefill.MARKED:
        message["prefix"] = True
    limits = {name: max(1, request[name] - prefix.tokens) for name in LIMITS if request.get(name) is not None}
    request = {**request, **limits, "messages": [*request["messages"], message]}
    if prefill is Prefill.FLAGGED:
        request |= {"continue_final_message": True, "add_generation_prompt": False, "echo": False}
    return request


def without_repeat(prefix: str, first: str) -> str:
    """The first text that an engine said, without the beginning that some repeat in front of it."""
    repeats = first.startswith(prefix) and len(first) > len(prefix)
    return first.removeprefix(prefix) if repeats or (first == prefix and len(prefix) >= SURELY_REPEATED) else first
