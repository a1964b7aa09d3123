"""A trace collector over a real socket that refuses what OpenTelemetry's protocol does not allow."""

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Received:
    """A span as the collector understood it; ids in hexadecimal, times in nanoseconds."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    links: tuple[tuple[str, str], ...]
    """(trace, span) of each."""
    attributes: Mapping[str, Any]


@dataclass
class Collector:
    """What arrived, and why some of it was refused."""

    url: str
    status: int = 200
    """Answer with another one to be a collector in trouble."""
    delay: float = 0.0
    """Seconds before each answer."""
    requests: int = 0
    spans: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def trace(self, trace: str) -> list[Received]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]

    def line(self, span: Received) -> list[tuple[str, str]]:
        """(service, name) of the spans that led to one and of itself, outermost first, up to one that has not come."""
        known = {made.id: made for made in self.spans}
        before = self.line(known[span.parent]) if span.parent in known else []
        return [*before, (span.service, span.name)]

    def wait(self, complete: Callable[[], bool], seconds: float = 30.0) -> None:
        """Until something arrived. Raises AssertionError with what did."""
        end = time.monotonic() + seconds
        while not complete():
            assert time.monotonic() < end, [(span.service, span.name) for span in self.spans]
            time.sleep(0.05)


class Refused(Exception):
    """The request breaks a rule of the protocol."""


def require(holds: bool, rule: str) -> None:
    """Raise Refused with the rule that does not hold."""
    if not holds:
        raise Refused(rule)


def understood(path: str, headers: Mapping[str, str], body: bytes) -> Iterator[Received]:
    """The spans of one export request. Raises Refused."""
    require(path == "/v1/traces", f"spans go to /v1/traces, not {path}")
    require(headers.get("content-type") == PROTOBUF, f"the content type is {headers.get('content-type')}")
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise Refused("no ExportTraceServiceRequest") from error
    for resource in request.resource_spans:
        identity = attributes(resource.resource.attributes)
        require(bool(identity.get("service.name")), "a resource has a service.name")
        for scope in resource.scope_spans:
            require(bool(scope.scope.name), "an instrumentation scope has a name")
            for span in scope.spans:
                yield checked(span, str(identity["service.name"]))


def checked(span: WireSpan, service: str) -> Received:
    """A span that keeps the rules of trace.proto. Raises Refused."""
    identity(span.trace_id, 16, "trace_id")
    identity(span.span_id, 8, "span_id")
    if span.parent_span_id:
        identity(span.parent_span_id, 8, "parent_span_id")
    require(span.parent_span_id != span.span_id, "a span is not its own parent")
    require(bool(span.name), "a span has a name")
    require(span.kind != WireSpan.SPAN_KIND_UNSPECIFIED, f"{span.name}: a kind is specified")
    require(0 < span.start_time_unix_nano <= span.end_time_unix_nano, f"{span.name}: it begins before it ends")
    failed = span.status.code == Status.STATUS_CODE_ERROR
    require(failed or not span.status.message, f"{span.name}: only an error has a description")
    for link in span.links:
        identity(link.trace_id, 16, "a link's trace_id")
        identity(link.span_id, 8, "a link's span_id")
    return Received(
        service=service,
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=failed,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=attributes(span.attributes),
    )


def identity(given: bytes, length: int, name: str) -> None:
    """Raise Refused for an id that is none."""
    require(len(given) == length and any(given), f"{name} is {length} bytes that are not all zero")


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by name. Raises Refused where a name is empty or there twice, or a value is missing."""
    listed = list(pairs)
    counted = Counter(pair.key for pair in listed)
    require("" not in counted, "an attribute has a name")
    require(all(count == 1 for count in counted.values()), f"attribute names are unique: {counted}")
    return {pair.key: value_of(pair.value, pair.key) for pair in listed}


def value_of(value: AnyValue, name: str) -> Any:
    """An attribute's value. Raises Refused where it has none."""
    kind = value.WhichOneof("value")
    require(kind is not None, f"{name} has a value")
    if kind == "array_value":
        return [value_of(inner, name) for inner in value.array_value.values]
    return getattr(value, kind or "")


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            time.sleep(made.delay)
            made.requests += 1
            if made.status != 200:
                self.answer(made.status, b"")
                return
            try:
                plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
                spans = list(understood(self.path, headers, plain))
            except (Refused, gzip.BadGzipFile) as error:
                made.refused.append(str(error))
                self.answer(400, b"")
                return
            made.headers.append(headers)
            made.bodies.append(plain)
            made.spans += spans
            self.answer(200, ExportTraceServiceResponse().SerializeToString())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", PROTOBUF)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
