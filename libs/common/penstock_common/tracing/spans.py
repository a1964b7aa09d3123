"""Spans, as the rest of the code makes them. Names and values never hold what a client wrote."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol

from penstock_common.errors import code_of
from penstock_common.messaging.envelope import CONTEXT, Context

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]


class Kind(StrEnum):
    """Which side of a conversation a span is, as OpenTelemetry names them."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    """Something that takes time."""

    traceparent: str
    """Its identity, as children anywhere need it."""

    def set(self, attributes: Attributes) -> None:
        """Say more about it."""

    def rename(self, name: str) -> None:
        """Give it the name that was not known at its start."""

    def fail(self, error_type: str) -> None:
        """It did not succeed; `error_type` is one of few."""

    def end(self) -> None:
        """It is over."""


class Untraced:
    """A span that nobody sees."""

    traceparent = ""

    def set(self, attributes: Attributes) -> None:
        """Nothing to say."""

    def rename(self, name: str) -> None:
        """Nothing to name."""

    def fail(self, error_type: str) -> None:
        """Nothing to mark."""

    def end(self) -> None:
        """Nothing to end."""


UNTRACED: Span = Untraced()
NOTHING: AbstractContextManager[Span] = nullcontext(UNTRACED)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of a span when it begins."""

    name: str
    kind: Kind = Kind.INTERNAL
    attributes: Attributes | None = None
    parent: str = ""
    """A traceparent; empty begins a trace."""
    links: Sequence[str] = ()
    """Traceparents of what else led to it."""


class Tracer(Protocol):
    """Where a process's spans go."""

    messaging_system: str
    """`nats` or `rabbitmq`."""

    def begin(self, beginning: Beginning) -> Span:
        """Start a span."""

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long at most."""


class Tracing:
    """As with logs, one destination a process, set once by its main function; None costs one comparison a span."""

    tracer: Tracer | None = None


def begin(beginning: Beginning) -> Span:
    """A span that its maker ends; what happens meanwhile does not become its child by itself."""
    tracer = Tracing.tracer
    return UNTRACED if tracer is None else tracer.begin(beginning)


def span(name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
    """A span for the length of a block, child of what runs; what is sent and called in the block is its child."""
    if Tracing.tracer is None:
        return NOTHING
    return Active(Beginning(name, kind, attributes, CONTEXT.get().traceparent))


def leaf(name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Span]:
    """A span without children for the length of a block; nothing where no trace is under way."""
    if Tracing.tracer is None or not (parent := CONTEXT.get().traceparent):
        return NOTHING
    return Closing(begin(Beginning(name, kind, attributes, parent)))


class Closing:
    """Ends a span with its block, and says whether that failed."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        """The span."""
        return self._span

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End it."""
        conclude(self._span, error)


class Active:
    """A span that becomes the parent of what its block begins."""

    __slots__ = ("_beginning", "_span", "_token")

    def __init__(self, beginning: Beginning) -> None:
        self._beginning = beginning

    def __enter__(self) -> Span:
        """The span, begun."""
        self._span = begin(self._beginning)
        self._token: Token[Context] = CONTEXT.set(CONTEXT.get().within(self._span.traceparent))
        return self._span

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End it."""
        CONTEXT.reset(self._token)
        conclude(self._span, error)


def conclude(span: Span, error: BaseException | None) -> None:
    """End a span; an error is named, never quoted: its sentence may hold what a client wrote."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        span.set({"penstock.ending": "cancelled"})
    elif error is not None and not getattr(error, "is_no_error", False):
        span.fail(code_of(error))
    span.end()
