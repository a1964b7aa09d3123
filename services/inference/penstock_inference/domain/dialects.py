"""How the flavours of the OpenAI API differ, as each engine's documentation has it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from penstock_inference.domain.continuing import LIMITS, NO_PREFIX, Prefill, Prefix, TakeOver, continuing
from penstock_inference.domain.errors import EngineRefused


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an engine takes."""

    name: str
    limit: str = ""
    """The one name of the output limit that it knows; both where empty."""
    choices: bool = True
    """Whether it gives several choices (`n`)."""
    stream_usage: bool = True
    """Whether it takes `stream_options.include_usage`."""
    dropped: frozenset[str] = frozenset()
    """Fields that it refuses, and that change nothing in the answer's meaning."""
    base64: bool = False
    """Whether it surely gives embeddings in base64, a quarter of the size."""
    cuts: bool = False
    """Whether it takes `truncate_prompt_tokens`."""
    looks_when_writing: bool = False
    """Whether it notices only when it writes that nobody waits any more: a whole answer is worked on to its end."""
    prefill: Prefill = Prefill.NONE
    """How it is asked to go on with an answer that was begun."""


PLATFORM_FIELDS = frozenset({"store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "user"})
"""OpenAI's own book-keeping: no other engine knows it, some refuse what they don't know."""

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai-compatible"),
        # Its reasoning models refuse max_tokens, its others take both names.
        Dialect("openai", limit="max_completion_tokens", base64=True),
        Dialect(
            "deepseek",
            limit="max_tokens",
            choices=False,
            dropped=PLATFORM_FIELDS | {"parallel_tool_calls"},
            prefill=Prefill.MARKED,
        ),
        Dialect("vllm", dropped=PLATFORM_FIELDS - {"user"}, base64=True, cuts=True, prefill=Prefill.FLAGGED),
        Dialect("ollama", limit="max_tokens", choices=False, dropped=PLATFORM_FIELDS),
        Dialect(
            "llamacpp",
            limit="max_tokens",
            choices=False,
            dropped=PLATFORM_FIELDS,
            prefill=Prefill.FLAGGED,
            looks_when_writing=True,
        ),
        Dialect("tgi", limit="max_tokens", choices=False, dropped=PLATFORM_FIELDS | {"parallel_tool_calls"}),
        Dialect("anthropic", choices=False, prefill=Prefill.BARE),
    )
}

HOSTS = {"api.openai.com": "openai", "api.deepseek.com": "deepseek", "api.anthropic.com": "anthropic"}
PORTS = {11434: "ollama"}
BETA = "/beta"
"""Where DeepSeek continues answers."""


def dialect_of(engine: str, url: str) -> str:
    """The dialect's name: the one asked for, or what the address gives away."""
    if engine in DIALECTS and engine != "openai-compatible":
        return engine
    parts = urlsplit(url)
    return HOSTS.get(parts.hostname or "") or PORTS.get(parts.port or 0) or "openai-compatible"


def usual_take_over(dialect: str, url: str) -> TakeOver:
    """What suits an engine of which nobody said it; a built-in one has no dialect."""
    if not dialect:
        return TakeOver.PREFIX
    prefill = DIALECTS[dialect].prefill
    continues = prefill is Prefill.FLAGGED or (prefill is Prefill.MARKED and url.endswith(BETA))
    return TakeOver.PREFIX if continues else TakeOver.VERIFY


def engine_request(
    body: dict[str, Any], dialect: Dialect, model: str, *, streamed: bool, prefix: Prefix = NO_PREFIX
) -> dict[str, Any]:
    """The client's request as the engine wants it. Raises EngineRefused for what the engine can't do."""
    if not dialect.choices and (body.get("n") or 1) > 1:
        raise EngineRefused("this model gives one choice only: set n to 1")
    request = {key: value for key, value in body.items() if key not in dialect.dropped}
    request.pop("stream_options", None)
    request["model"], request["stream"] = model, streamed
    if prefix.text:
        request = continuing(request, prefix, dialect.prefill)
    limits = [request.pop(name) for name in LIMITS if request.get(name) is not None] if dialect.limit else []
    if limits:
        request[dialect.limit] = min(limits)
    if streamed and dialect.stream_usage:
        request["stream_options"] = {"include_usage": True}
    return request


def embeddings_request(body: dict[str, Any], dialect: Dialect, model: str) -> dict[str, Any]:
    """The client's embeddings request as the engine wants it. Raises EngineRefused for what the engine can't do."""
    if "truncate_prompt_tokens" in body and not dialect.cuts:
        raise EngineRefused(
            "this model's engine takes no `truncate_prompt_tokens`: leave it out, or send shorter texts"
        )
    request = {key: value for key, value in body.items() if key not in dialect.dropped}
    request["model"], request["encoding_format"] = model, "base64" if dialect.base64 else "float"
    return request
