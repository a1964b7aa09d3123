"""An engine call as a span: numbers and names of ours, never what a client or a model wrote."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from penstock_common.contracts.generation import Tokens
from penstock_common.telemetry import exported_traces
from penstock_inference.adapters.engines.traced import TracedEngine
from penstock_inference.domain.errors import EngineRefused
from penstock_inference.ports import EngineCall, EngineEvent, Finished, TextDelta, Used, WholeAnswer
from tests.support.conventions import broken
from tests.support.engine_calls import a_call, a_model
from tests.support.otlp import Collector, Received, collector
from tests.unit.tracing.conftest import settings

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WORDS = {"tools": [{"name": "hunter2"}], "stop": ["hunter2"], "user": "hunter2", "seed": "hunter2", "top_p": True}


@dataclass
class Scripted:
    """An engine that says this; its calls are kept."""

    events: list[EngineEvent] = field(default_factory=list)
    error: Exception | None = None
    calls: list[EngineCall] = field(default_factory=list)

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        self.calls.append(call)
        for event in self.events:
            yield [event]
        if self.error:
            raise self.error

    async def complete(self, call: EngineCall) -> WholeAnswer:
        self.calls.append(call)
        if self.error:
            raise self.error
        return WholeAnswer(b"{}", Tokens(prompt=3, completion=5, cached=2, reasoning=1), {0: "stop"}, "hunter2")

    async def embed(self, call: EngineCall) -> WholeAnswer:
        return WholeAnswer(b"{}", Tokens(prompt=3), {}, "")

    async def close(self) -> None:
        """Nothing to close."""


ANSWER: list[EngineEvent] = [
    TextDelta(0, "content", "hunter2"),
    Finished(0, "stop"),
    Finished(1, "hunter2"),
    Used(Tokens(prompt=3, completion=5)),
]


@pytest.fixture
async def receiver() -> AsyncIterator[Collector]:
    """A collector."""
    with collector() as made:
        yield made
        assert made.refused == []


def the_span(receiver: Collector) -> Received:
    """The only one that arrived, which keeps the conventions and holds no text."""
    (made,) = receiver.spans
    assert broken(made) == []
    assert not any(b"hunter2" in body for body in receiver.bodies)
    return made


async def streamed(engine: Scripted, call: EngineCall, most: int = 100) -> None:
    """Read a traced stream, so many parts of it at most."""
    async with aclosing(TracedEngine(engine).stream(call)) as events:
        async for _ in events:
            most -= 1
            if not most:
                return


def call_of(**body: Any) -> EngineCall:
    """A call within a trace."""
    model = a_model(url="https://engine.example/v1", upstream_model="upstream", dialect="openai")
    return replace(a_call(model, **body), traceparent=TRACEPARENT)


async def test_a_stream_is_one_span(receiver: Collector) -> None:
    """Its engine is called as the span's child; counts, reasons and the time to the first text are said."""
    engine = Scripted(ANSWER)
    with exported_traces("test", settings(endpoint=receiver.url)):
        await streamed(engine, call_of(**WORDS | {"seed": 7, "temperature": 0.5, "n": 2, "max_completion_tokens": 9}))
    made = the_span(receiver)
    assert (made.name, made.kind, made.parent) == ("chat upstream", "CLIENT", "00f067aa0ba902b7")
    assert engine.calls[0].traceparent == f"00-{made.trace}-{made.id}-01"
    assert made.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    expected = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.seed": 7,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.response.finish_reasons": ["stop", "other"],
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "engine.example",
        "server.port": 443,
    }
    assert {name: made.attributes[name] for name in expected} == expected


async def test_words_in_place_of_numbers_are_not_said(receiver: Collector) -> None:
    """A client may write anything where a number belongs."""
    with exported_traces("test", settings(endpoint=receiver.url)):
        await streamed(Scripted(ANSWER), call_of(**WORDS))
    assert not {"gen_ai.request.seed", "gen_ai.request.top_p"} & set(the_span(receiver).attributes)


async def test_a_whole_answer_says_its_counts(receiver: Collector) -> None:
    """Cached and reasoning tokens too."""
    with exported_traces("test", settings(endpoint=receiver.url)):
        await TracedEngine(Scripted()).complete(call_of())
    said = the_span(receiver).attributes
    assert said["gen_ai.usage.cache_read.input_tokens"] == 2
    assert said["gen_ai.usage.reasoning.output_tokens"] == 1
    assert "gen_ai.request.stream" not in said


@pytest.mark.parametrize("whole", [True, False])
async def test_a_failure_is_named(receiver: Collector, whole: bool) -> None:
    """By its code; the engine's sentence may quote the prompt."""
    engine = Scripted(ANSWER[:1], EngineRefused("hunter2"))
    with exported_traces("test", settings(endpoint=receiver.url)), pytest.raises(EngineRefused):
        await (TracedEngine(engine).complete(call_of()) if whole else streamed(engine, call_of()))
    assert the_span(receiver).attributes["error.type"] == EngineRefused.code


async def test_a_stream_that_is_left_is_no_error(receiver: Collector) -> None:
    """It says that it was cancelled, and what it had told by then."""
    with exported_traces("test", settings(endpoint=receiver.url)):
        await streamed(Scripted(ANSWER), call_of(), most=1)
    made = the_span(receiver)
    assert (made.failed, made.attributes["penstock.ending"]) == (False, "cancelled")
    assert "gen_ai.response.time_to_first_chunk" in made.attributes


async def test_texts_to_embed_are_another_operation(receiver: Collector) -> None:
    """As the conventions name it."""
    with exported_traces("test", settings(endpoint=receiver.url)):
        await TracedEngine(Scripted()).embed(call_of(input="hunter2"))
    made = the_span(receiver)
    assert (made.name, made.attributes["gen_ai.operation.name"]) == ("embeddings upstream", "embeddings")
    assert made.attributes["gen_ai.usage.input_tokens"] == 3
