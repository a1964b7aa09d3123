"""Spans by OTLP over HTTP. Imported only where an endpoint is set: the SDK takes 7 MB."""

import logging
import threading
from collections.abc import Sequence
from importlib.metadata import version
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from prometheus_client import Counter

from penstock_common.ids import uuid7
from penstock_common.settings import ServiceSettings, TraceSettings
from penstock_common.tracing.spans import Attributes, Beginning, Span
from penstock_common.tracing.traceparent import parsed

log = structlog.get_logger()

SPANS = Counter("penstock_trace_spans", "Spans by what became of them; what is in no class was dropped", ["outcome"])

QUEUE = 2048  # spans; what comes while it is full is dropped
BATCH = 256  # spans; encoding them holds the interpreter for some milliseconds
DELAY_MS = 1000
PATH = "/v1/traces"


class OtlpTracer:
    """OpenTelemetry's SDK behind the port: a bounded queue, and one thread that sends."""

    def __init__(self, service: str, settings: ServiceSettings) -> None:
        scheme = urlsplit(settings.bus.url.get_secret_value()).scheme
        self.messaging_system = "rabbitmq" if scheme.startswith("amqp") else "nats"
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.traces.sample_ratio)),
            resource=Resource.create(identity(service)),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attributes=64, max_links=QUEUE, max_span_attribute_length=256),
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                Exporter(settings.traces),
                max_queue_size=QUEUE,
                max_export_batch_size=BATCH,
                schedule_delay_millis=DELAY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("penstock", version("penstock-common"))

    def begin(self, beginning: Beginning) -> Span:
        """Start a span; whether it is recorded is its parent's word, or the ratio's."""
        parent = remote(beginning.parent)
        links = [Link(context) for context in map(remote, beginning.links) if context]
        return Recorded(
            self._tracer.start_span(
                beginning.name,
                set_span_in_context(NonRecordingSpan(parent)) if parent else None,
                SpanKind[beginning.kind.value],
                beginning.attributes,
                links,
            )
        )

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True, name="traces.flush")
        flushing.start()
        flushing.join(seconds)


class Recorded:
    """A span of the SDK."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        context = span.get_span_context()
        sampled = context.trace_flags & TraceFlags.SAMPLED
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"

    def set(self, attributes: Attributes) -> None:
        """Say more about it."""
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._span.update_name(name)

    def fail(self, error_type: str) -> None:
        """Mark it as failed."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """Put it into the queue."""
        if self._span.is_recording():
            SPANS.labels("ended").inc()
        self._span.end()


class Exporter(SpanExporter):
    """The OTLP exporter, with one log line when the collector goes and one when it is back."""

    def __init__(self, settings: TraceSettings) -> None:
        assert settings.endpoint is not None
        # Its own lines, several a second, say less than ours.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._endpoint = f"{str(settings.endpoint).rstrip('/')}{PATH}"
        self._exporter = OTLPSpanExporter(
            endpoint=self._endpoint,
            headers=settings.header_fields(),
            timeout=settings.timeout,
            compression=Compression.Gzip,
        )
        self._reachable = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, in the exporter's thread; what fails after some repeats is dropped."""
        result = self._exporter.export(spans)
        reached = result is SpanExportResult.SUCCESS
        SPANS.labels("exported" if reached else "failed").inc(len(spans))
        if reached is not self._reachable:
            self._reachable = reached
            say = log.info if reached else log.warning
            say("traces.exported" if reached else "traces.refused", host=urlsplit(self._endpoint).netloc)
        return result

    def shutdown(self) -> None:
        """Repeat no more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def identity(service: str) -> dict[str, str]:
    """Who sends, by the conventions for resources."""
    return {
        "service.namespace": "penstock",
        "service.name": f"penstock-{service}",
        "service.version": version("penstock-common"),
        "service.instance.id": str(uuid7()),
    }


def remote(traceparent: str) -> SpanContext | None:
    """The SDK's form of a traceparent."""
    if (known := parsed(traceparent)) is None:
        return None
    trace, span, flags = known
    return SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(flags & TraceFlags.SAMPLED))
