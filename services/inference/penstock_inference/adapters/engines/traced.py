"""Engine calls as spans, by OpenTelemetry's conventions for generative AI. They hold no prompt and no answer."""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from penstock_common.contracts.generation import Tokens
from penstock_common.tracing.spans import Attributes, Beginning, Kind, Span, Value, begin, conclude
from penstock_inference.domain.catalogue import Model
from penstock_inference.ports import Engine, EngineCall, EngineEvent, Finished, TextDelta, Used, WholeAnswer

NUMBERS = {
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
}
"""What of a request's body is said: numbers. Its other members are its client's words, names of tools included."""
REASONS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})


@dataclass(frozen=True, slots=True)
class TracedEngine:
    """An engine whose calls are seen."""

    engine: Engine

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as the engine sends them."""
        span, heard = begin(beginning(call, streamed=True)), Heard(time.monotonic())
        error: BaseException | None = None
        try:
            async with aclosing(self.engine.stream(seen_by_engine(call, span))) as events:
                async for some in events:
                    heard.take(some)
                    yield some
        except BaseException as raised:
            error = raised
            raise
        finally:
            span.set(heard.attributes())
            conclude(span, error)

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The whole answer."""
        return await self._whole(call, self.engine.complete)

    async def embed(self, call: EngineCall) -> WholeAnswer:
        """The vectors."""
        return await self._whole(call, self.engine.embed)

    async def _whole(
        self, call: EngineCall, asked: Callable[[EngineCall], Coroutine[Any, Any, WholeAnswer]]
    ) -> WholeAnswer:
        span = begin(beginning(call, streamed=False))
        try:
            answer = await asked(seen_by_engine(call, span))
        except BaseException as error:
            conclude(span, error)
            raise
        span.set(usage(answer.tokens) | reasons(answer.finish))
        conclude(span, None)
        return answer

    async def close(self) -> None:
        """Close the engine."""
        await self.engine.close()


@dataclass(slots=True)
class Heard:
    """What a stream has told so far."""

    began: float
    first: float | None = None
    """Seconds to the first text."""
    used: Tokens | None = None
    finish: dict[int, str] | None = None

    def take(self, events: Iterable[EngineEvent]) -> None:
        """Note counts and reasons, no text."""
        for event in events:
            if self.first is None and isinstance(event, TextDelta):
                self.first = time.monotonic() - self.began
            if isinstance(event, Used):
                self.used = event.tokens
            elif isinstance(event, Finished):
                self.finish = {**(self.finish or {}), event.choice: event.reason}

    def attributes(self) -> Attributes:
        """All of it."""
        first = {} if self.first is None else {"gen_ai.response.time_to_first_chunk": self.first}
        return {**usage(self.used), **reasons(self.finish or {}), **first}


def beginning(call: EngineCall, *, streamed: bool) -> Beginning:
    """What is known of a call before the engine answers. A model without an address is part of this service."""
    model = call.model
    operation = "embeddings" if "input" in call.body else "chat"
    asked = model.upstream_model or model.name
    described = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": asked,
        "penstock.model": model.name,
        "penstock.request.id": str(call.request_id),
        "penstock.attempt": call.attempt,
        **({"gen_ai.request.stream": True} if streamed else {}),
        **numbers(call.body),
        **server(model),
    }
    kind = Kind.CLIENT if model.url else Kind.INTERNAL
    return Beginning(f"{operation} {asked}", kind, described, call.traceparent)


def numbers(body: Mapping[str, Any]) -> dict[str, Value]:
    """The numbers of a request."""
    said = {name: body[key] for key, name in NUMBERS.items() if is_number(body.get(key))}
    choices = body.get("n")
    return said | ({"gen_ai.request.choice.count": choices} if is_number(choices) and choices != 1 else {})


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it is one that a span can hold."""
    small = isinstance(value, int) and abs(value) < 1 << 63
    return (small and not isinstance(value, bool)) or isinstance(value, float)


def server(model: Model) -> dict[str, Value]:
    """Where the engine listens."""
    if not model.url:
        return {}
    url = urlsplit(model.url)
    return {"server.address": url.hostname or "", "server.port": url.port or (443 if url.scheme == "https" else 80)}


def usage(tokens: Tokens | None) -> dict[str, Value]:
    """The engine's own counts."""
    if tokens is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": tokens.prompt,
        "gen_ai.usage.output_tokens": tokens.completion,
        **({"gen_ai.usage.cache_read.input_tokens": tokens.cached} if tokens.cached else {}),
        **({"gen_ai.usage.reasoning.output_tokens": tokens.reasoning} if tokens.reasoning else {}),
    }


def reasons(finish: Mapping[int, str]) -> dict[str, Value]:
    """Why each choice ended; what no API defines could be anything, and is not repeated."""
    if not finish:
        return {}
    ended = [finish[choice] if finish[choice] in REASONS else "other" for choice in sorted(finish)]
    return {"gen_ai.response.finish_reasons": ended}


def seen_by_engine(call: EngineCall, span: Span) -> EngineCall:
    """The call as the engine gets it: what it does is the span's child."""
    return replace(call, traceparent=span.traceparent)
