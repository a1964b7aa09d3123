"""How the flavours of the OpenAI API differ, as each engine's documentation has it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from penstock_inference.domain.errors import EngineRefused

LIMITS = ("max_completion_tokens", "max_tokens")


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


PLATFORM_FIELDS = frozenset({"store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "user"})
"""OpenAI's own book-keeping: no other engine knows it, some refuse what they don't know."""

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai-compatible"),
        # Its reasoning models refuse max_tokens, its others take both names.
        Dialect("openai", limit="max_completion_tokens", base64=True),
        Dialect("deepseek", limit="max_tokens", choices=False, dropped=PLATFORM_FIELDS | {"parallel_tool_calls"}),
        Dialect("vllm", dropped=PLATFORM_FIELDS - {"user"}, base64=True, cuts=True),
        Dialect("ollama", limit="max_tokens", choices=False, dropped=PLATFORM_FIELDS),
        Dialect("llamacpp", limit="max_tokens", choices=False, dropped=PLATFORM_FIELDS),
        Dialect("tgi", limit="max_tokens", choices=False, dropped=PLATFORM_FIELDS | {"parallel_tool_calls"}),
    )
}

HOSTS = {"api.openai.com": "openai", "api.deepseek.com": "deepseek"}
PORTS = {11434: "ollama"}


def dialect_of(engine: str, url: str) -> str:
    """The dialect's name: the one asked for, or what the address gives away."""
    if engine in DIALECTS and engine != "openai-compatible":
        return engine
    parts = urlsplit(url)
    return HOSTS.get(parts.hostname or "") or PORTS.get(parts.port or 0) or "openai-compatible"


def engine_request(body: dict[str, Any], dialect: Dialect, model: str, *, streamed: bool) -> dict[str, Any]:
    """The client's request as the engine wants it. Raises EngineRefused for what the engine can't do."""
    if not dialect.choices and (body.get("n") or 1) > 1:
        raise EngineRefused("this model gives one choice only: set n to 1")
    request = {key: value for key, value in body.items() if key not in dialect.dropped}
    request.pop("stream_options", None)
    request["model"], request["stream"] = model, streamed
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
