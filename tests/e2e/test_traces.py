"""A request is one trace through every service, on both buses; it keeps the conventions and holds no text."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import bus_options
from tests.support.conventions import broken
from tests.support.otlp import Collector, Received, collector
from tests.support.platform import Platform, running
from tests.support.tools import Tool, http_tool

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-traces")]

SECRET = "a confidential question about penstocks"
GENERATE = "cmd.inference.text.generate.v1"
COMPLETED = "inference.generation.completed.v1"
VECTORIZE = "cmd.inference.texts.vectorize.v1"
RECORDED = "billing.usage.recorded.v1"
ENGINE = "chat fast"
CHAIN = (
    ("penstock-api", "POST /v1/chat/completions", "SERVER"),
    ("penstock-api", f"publish {GENERATE}", "PRODUCER"),
    ("penstock-inference", f"process {GENERATE}", "CONSUMER"),
    ("penstock-inference", f"publish {COMPLETED}", "PRODUCER"),
    ("penstock-billing", f"process {COMPLETED}", "CONSUMER"),
    ("penstock-billing", f"publish {RECORDED}", "PRODUCER"),
)
"""Each is the next one's parent."""
METERING = [(service, name) for service, name, _ in CHAIN[2:]]
"""From the model's command to the ledger."""


@dataclass(frozen=True)
class Traced:
    """A platform and the collector that it sends to."""

    platform: Platform
    collector: Collector
    bus: str

    def chat(self, *, stream: bool, **headers: str) -> tuple[str, str]:
        """Have a question answered; returns the request id and all that was said."""
        body = {"model": "sim/fast", "messages": [{"role": "user", "content": SECRET}], "max_tokens": 12, "seed": 3}
        headers["authorization"] = f"Bearer {self.platform.info['api_key']}"
        url = f"{self.platform.info['base_url']}/v1/chat/completions"
        answer = httpx.post(url, json={**body, "stream": stream}, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.headers["x-request-id"], answer.text

    def ask(self, path: str, **given: Any) -> tuple[str, dict[str, Any]]:
        """Post something of the native API; returns the request id and the answer."""
        headers = {"authorization": f"Bearer {self.platform.info['api_key']}"}
        answer = httpx.post(f"{self.platform.info['base_url']}/api/v1/{path}", headers=headers, timeout=10, **given)
        assert answer.is_success, answer.text
        return answer.headers["x-request-id"], answer.json()

    def lines(self, request_id: str, last: tuple[str, str], times: int = 1) -> list[list[tuple[str, str]]]:
        """What led to each span of this service and name in the trace of a request, once there are so many."""

        def found() -> list[Received]:
            traces = {s.trace for s in self.collector.spans if s.kind == "SERVER" and belongs(s, request_id)}
            return [s for s in self.collector.spans if s.trace in traces and (s.service, s.name) == last]

        def are_whole() -> bool:
            return len(found()) == times and all(self.collector.line(s)[0][0] == "penstock-api" for s in found())

        self.collector.wait(are_whole)
        return [self.collector.line(span) for span in found()]

    def spans_of(self, request_id: str) -> list[Received]:
        """The trace of a request, once it has reached the ledger."""

        def found() -> list[Received]:
            roots = [s for s in self.collector.spans if s.kind == "SERVER" and belongs(s, request_id)]
            return self.collector.trace(roots[0].trace) if roots else []

        names = {name for _, name, _ in CHAIN} | {ENGINE} | {f"process {COMPLETED}"}
        self.collector.wait(lambda: names <= {span.name for span in found()})
        self.collector.wait(lambda: sum(span.name == f"process {COMPLETED}" for span in found()) == 2)
        return found()


def belongs(span: Received, request_id: str) -> bool:
    """Whether a span names a request."""
    return span.attributes.get("penstock.request.id") == request_id


@pytest.fixture(scope="module", params=["nats", "rabbitmq"])
def traced(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Traced]:
    """A platform that traces, on each bus."""
    with bus_options(request.param) as options, collector() as made:
        platform = Platform(
            reachable_folder / f"traced-{request.param}", [*options, "--otlp", made.url, "--allow-tool", "127.0.0.0/8"]
        )
        with running(platform):
            yield Traced(platform, made, request.param)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_chat_is_one_trace_through_api_inference_and_billing(traced: Traced, stream: bool) -> None:
    """From the socket to the ledger each span has the parent that led to it, and no other trace names the request."""
    request_id, _ = traced.chat(stream=stream)
    spans = traced.spans_of(request_id)
    by_name = {(span.service, span.name, span.kind): span for span in spans}
    chain = [by_name[link] for link in CHAIN]
    assert [span.parent for span in chain] == ["", *(span.id for span in chain[:-1])]
    (engine,) = (span for span in spans if span.name == ENGINE)
    assert engine.parent == chain[2].id
    assert {span.trace for span in traced.collector.spans if belongs(span, request_id)} == {chain[0].trace}
    assert [span.name for span in spans if not span.parent] == ["POST /v1/chat/completions"]
    assert {span.parent for span in spans} <= {span.id for span in spans} | {""}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_engine_call_says_what_the_conventions_ask(traced: Traced, stream: bool) -> None:
    """Model, provider, parameters, counts and the reason of the end."""
    request_id, _ = traced.chat(stream=stream)
    (engine,) = (span for span in traced.spans_of(request_id) if span.name == ENGINE)
    said = engine.attributes
    usage = traced.platform.usage(request_id)
    assert (said["gen_ai.operation.name"], said["gen_ai.provider.name"]) == ("chat", "sim")
    assert (said["gen_ai.request.seed"], said["gen_ai.request.max_tokens"]) == (3, 12)
    assert said["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert said["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert said["gen_ai.response.finish_reasons"]
    assert ("gen_ai.response.time_to_first_chunk" in said, said.get("gen_ai.request.stream", False)) == (stream, stream)


def test_a_callers_trace_goes_on(traced: Traced) -> None:
    """The caller's span is the parent of ours; where the caller did not sample, nothing of it is sent."""
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    silent = "5bf92f3577b34da6a3ce929d0e0e4736"
    traced.chat(stream=False, traceparent=f"00-{silent}-{parent}-00")
    request_id, _ = traced.chat(stream=False, traceparent=f"00-{trace}-{parent}-01")
    spans = traced.spans_of(request_id)
    assert {span.trace for span in spans} == {trace}
    assert [s.parent for s in spans if s.kind == "SERVER" and s.service == "penstock-api"] == [parent]
    assert not traced.collector.trace(silent)


def test_a_question_over_the_bus_is_part_of_the_trace(traced: Traced) -> None:
    """Usage is asked of billing by query: one trace, with the asking side as the parent."""
    headers = {"authorization": f"Bearer {traced.platform.info['admin_key']}"}
    answer = httpx.get(f"{traced.platform.info['base_url']}/api/v1/usage", headers=headers, timeout=10)
    request_id = answer.headers["x-request-id"]
    query = "qry.billing.usage.read.v1"

    def spans() -> dict[str, Received]:
        traces = {s.trace for s in traced.collector.spans if belongs(s, request_id)}
        return {s.name: s for s in traced.collector.spans if s.trace in traces}

    traced.collector.wait(lambda: {"GET /api/v1/usage", f"answer {query}"} <= set(spans()))
    found = spans()
    root, asking, answering = (found[n] for n in ("GET /api/v1/usage", f"request {query}", f"answer {query}"))
    assert (asking.parent, answering.parent) == (root.id, asking.id)
    assert (answering.service, answering.kind) == ("penstock-billing", "SERVER")


@pytest.fixture
def tool() -> Iterator[Tool]:
    """An HTTP tool."""
    with http_tool() as made:
        yield made


def test_a_run_is_one_trace_through_worker_tool_and_model(traced: Traced, tool: Tool) -> None:
    """From the request that starts it to the tool that its agent called, and to the ledger for each model's answer."""
    called = {"kind": "http", "name": "confidential_tool", "description": SECRET, "url": f"{tool.url}/called"}
    prompt = f"{SECRET}\nsim: call confidential_tool {{}}\nsim: say {SECRET}"
    step = {"kind": "agent", "name": "confidential", "model": "sim/fast", "prompt": prompt, "tools": [called]}
    request_id, run = traced.ask("runs", json={"task": {"steps": [step]}})
    agent = [
        ("penstock-api", "POST /api/v1/runs"),
        ("penstock-api", "publish cmd.worker.run.start.v1"),
        ("penstock-worker", "process cmd.worker.run.start.v1"),
        ("penstock-worker", "invoke_workflow"),
        ("penstock-worker", "step agent"),
        ("penstock-worker", "invoke_agent supervisor"),
    ]
    asked = [*agent, ("penstock-worker", f"publish {GENERATE}")]
    assert traced.lines(request_id, METERING[-1], times=2) == [asked + METERING] * 2
    assert traced.lines(request_id, ("penstock-worker", "execute_tool http")) == [
        [*agent, ("penstock-worker", "execute_tool http")]
    ]
    (root,) = (s for s in traced.collector.spans if s.attributes.get("penstock.run.id") == run["id"])
    (trace,) = (key.split("-")[1] for key in tool.keys("/called", "traceparent"))
    assert trace == root.trace


def test_a_document_is_one_trace_through_indexer_and_model(traced: Traced) -> None:
    """From the upload to the ledger for its vectors; that it can be found is said in the same trace."""
    _, base = traced.ask("knowledge-bases", json={"name": f"confidential {traced.bus}"})
    path = f"knowledge-bases/{base['id']}/documents"
    request_id, _ = traced.ask(path, params={"name": "confidential.txt"}, content=SECRET)
    indexing = [
        ("penstock-api", "POST /api/v1/knowledge-bases/{id}/documents"),
        ("penstock-api", "publish cmd.indexer.document.add.v1"),
        ("penstock-indexer", "process cmd.indexer.document.add.v1"),
        ("penstock-indexer", "index document"),
    ]
    asked = [*indexing, ("penstock-indexer", f"publish {VECTORIZE}"), ("penstock-inference", f"process {VECTORIZE}")]
    assert traced.lines(request_id, METERING[-1]) == [asked + METERING[1:]]
    changed = ("penstock-indexer", "publish indexer.document.changed.v1")
    assert sorted(traced.lines(request_id, changed, times=3)) == sorted(
        [[*indexing[:3], changed], [*indexing, changed], [*indexing, changed]]
    )


def test_paths_are_said_as_their_routes_have_them(traced: Traced) -> None:
    """What a client writes into a path, known or not, is in no span."""
    headers = {"authorization": f"Bearer {traced.platform.info['api_key']}"}
    base = traced.platform.info["base_url"]
    known = httpx.get(f"{base}/v1/models/my-private-name", headers=headers, timeout=10)
    unknown = httpx.get(f"{base}/v1/nothing/my-private-name", headers=headers, timeout=10)
    ids = {known.headers["x-request-id"], unknown.headers["x-request-id"]}

    def found() -> dict[str, Received]:
        spans = (span for span in traced.collector.spans if span.kind == "SERVER")
        return {span.name: span for span in spans if span.attributes.get("penstock.request.id") in ids}

    traced.collector.wait(lambda: len(found()) == 2)
    assert set(found()) == {"GET /v1/models/{model}", "GET"}
    assert all(span.attributes["http.response.status_code"] == 404 for span in found().values())
    assert not any(b"my-private-name" in body for body in traced.collector.bodies)


def test_nothing_was_refused_and_no_text_left(traced: Traced) -> None:
    """After all of the above: each span keeps protocol and conventions; prompts, answers and keys stay here."""
    request_id, answer = traced.chat(stream=False)
    traced.spans_of(request_id)
    assert traced.collector.refused == []
    assert [problem for span in traced.collector.spans for problem in broken(span)] == []
    said = httpx.Response(200, text=answer).json()["choices"][0]["message"]["content"]
    for text in (SECRET, "confidential", said, traced.platform.info["api_key"], traced.platform.info["admin_key"]):
        assert not any(text.encode() in body for body in traced.collector.bodies)
    systems = {s.attributes["messaging.system"] for s in traced.collector.spans if "messaging.system" in s.attributes}
    assert systems == {traced.bus}
