"""Logs: `noun.past` and keys; coloured lines on a terminal, JSON for machines. Never a prompt, answer or secret."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.dev import plain_traceback

from penstock_common.messaging.envelope import CONTEXT
from penstock_common.settings import LogSettings, ServiceSettings
from penstock_common.tracing.spans import Tracing

FLUSH_SECONDS = 2.0
"""What a stop may take for spans: whoever stops a service gives it little more than its running work needs."""


def configure_logging(service: str, settings: LogSettings) -> None:
    """Send structlog and the standard library's loggers to standard error, in one form."""
    level = getattr(logging, settings.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_message_context,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks show lines of code, never the values of variables: those may be prompts or keys.
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    foreign = structlog.stdlib.ProcessorFormatter(processors=[strip, *renderers], foreign_pre_chain=shared)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(foreign)
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


@contextmanager
def exported_traces(service: str, settings: ServiceSettings) -> Iterator[None]:
    """Send the spans of this process to the endpoint of the settings, if there is one, until the block ends."""
    if settings.traces.endpoint is None:
        yield
        return
    from penstock_common.tracing.export import OtlpTracer  # noqa: PLC0415 (7 MB that most processes don't need)

    tracer = Tracing.tracer = OtlpTracer(service, settings)
    try:
        yield
    finally:
        Tracing.tracer = None
        tracer.stop(FLUSH_SECONDS)


def add_message_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add tenant, correlation and trace of the message being handled."""
    context = CONTEXT.get()
    for key, value in (
        ("tenant", context.tenant),
        ("correlation", context.correlation),
        ("trace", context.traceparent),
    ):
        if value:
            event.setdefault(key, value)
    return event
