"""Logs: `noun.past` and keys; coloured lines on a terminal, JSON for machines. Never a prompt, answer or secret."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from penstock_common.messaging.envelope import CONTEXT
from penstock_common.settings import LogSettings


def configure_logging(service: str, settings: LogSettings) -> None:
    """Send structlog and the standard library's loggers to standard error, in one form."""
    level = getattr(logging, settings.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_message_context,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.format == "json":
        renderers: list[Any] = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    foreign = structlog.stdlib.ProcessorFormatter(processor=renderers[-1], foreign_pre_chain=shared)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(foreign)
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


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
