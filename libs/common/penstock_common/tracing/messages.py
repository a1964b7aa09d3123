"""Spans of messages, by OpenTelemetry's conventions: one for each sending, one for each processing."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from dataclasses import replace
from types import TracebackType

from penstock_common.messaging.envelope import CONTEXT, TRACEPARENT, Context
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Consumer, Topic
from penstock_common.tracing.spans import (
    NOTHING,
    Active,
    Attributes,
    Beginning,
    Kind,
    Span,
    Tracer,
    Tracing,
    begin,
    conclude,
)

Headers = Mapping[str, str]


def sending(message: Outgoing) -> AbstractContextManager[Outgoing]:
    """The message as it is to leave, for as long as that takes: its header names the span of this sending."""
    tracer = Tracing.tracer
    return nullcontext(message) if tracer is None else Sending(message, tracer)


def asking(topic: Topic) -> AbstractContextManager[Headers]:
    """The headers of a question, for as long as its answer takes."""
    parent = CONTEXT.get().traceparent
    tracer = Tracing.tracer
    if tracer is None or not parent:
        return nullcontext({TRACEPARENT: parent} if parent else {})
    described = messaging(tracer, "send", "request", topic.subject)
    return Asking(Active(Beginning(f"request {topic.subject}", Kind.CLIENT, described, parent)))


def answering(topic: Topic, headers: Headers | None) -> AbstractContextManager[Span]:
    """A question of some trace while it is answered."""
    tracer, parent = Tracing.tracer, (headers or {}).get(TRACEPARENT, "")
    if tracer is None or not parent:
        return NOTHING
    described = messaging(tracer, "process", "answer", topic.subject)
    return Active(Beginning(f"answer {topic.subject}", Kind.SERVER, described, parent))


def processing(messages: Sequence[Incoming], lane: Consumer) -> AbstractContextManager[object]:
    """Deliveries while their handler runs, each in the trace that it came with."""
    tracer = Tracing.tracer
    return NOTHING if tracer is None else Processing(messages, lane, tracer)


def messaging(tracer: Tracer, type_: str, name: str, destination: str) -> Attributes:
    """What the conventions ask of every messaging span."""
    return {
        "messaging.system": tracer.messaging_system,
        "messaging.operation.type": type_,
        "messaging.operation.name": name,
        "messaging.destination.name": destination,
    }


class Sending:
    """One message on its way out."""

    __slots__ = ("_message", "_span", "_tracer")

    def __init__(self, message: Outgoing, tracer: Tracer) -> None:
        self._message, self._tracer = message, tracer

    def __enter__(self) -> Outgoing:
        """The message with the identity of its span."""
        message = self._message
        described = {
            **messaging(self._tracer, "send", "publish", message.subject),
            "messaging.message.id": message.message_id,
            "messaging.message.body.size": len(message.body),
        }
        parent = message.headers.get(TRACEPARENT, "")
        self._span = begin(Beginning(f"publish {message.subject}", Kind.PRODUCER, described, parent))
        return replace(message, headers={**message.headers, TRACEPARENT: self._span.traceparent})

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """The bus has it, or not."""
        conclude(self._span, error)


class Asking:
    """One question, until it is answered."""

    __slots__ = ("_active",)

    def __init__(self, active: Active) -> None:
        self._active = active

    def __enter__(self) -> Headers:
        """The headers that the question travels with."""
        return {TRACEPARENT: self._active.__enter__().traceparent}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It was answered, or not."""
        self._active.__exit__(kind, error, trace)


class Processing:
    """Deliveries handled together: a span in the trace of each; the first one's links to the others."""

    __slots__ = ("_lane", "_messages", "_spans", "_token", "_tracer")

    def __init__(self, messages: Sequence[Incoming], lane: Consumer, tracer: Tracer) -> None:
        self._messages, self._lane, self._tracer = messages, lane, tracer

    def __enter__(self) -> None:
        """What the handler begins and sends belongs to the first one's trace, or to that of the named cause."""
        first, *others = self._messages
        origins = [message.headers.get(TRACEPARENT, "") for message in others]
        leading = self._begin(first, origins)
        self._spans = [leading, *(self._begin(message, [leading.traceparent]) for message in others)]
        for message, span in zip(self._messages, self._spans, strict=True):
            message.traceparent = span.traceparent
        self._token: Token[Context] = CONTEXT.set(CONTEXT.get().within(leading.traceparent))

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """They were handled, or not."""
        CONTEXT.reset(self._token)
        for span in self._spans:
            conclude(span, error)

    def _begin(self, message: Incoming, links: Sequence[str]) -> Span:
        subject, together = self._lane.topic.subject, len(self._messages)
        described = {
            **messaging(self._tracer, "process", "process", subject),
            "messaging.consumer.group.name": self._lane.name,
            "messaging.message.id": message.message_id,
            "messaging.message.body.size": len(message.body),
            "penstock.attempt": message.attempt,
            **({"messaging.batch.message_count": together} if together > 1 else {}),
        }
        parent = message.headers.get(TRACEPARENT, "")
        return begin(Beginning(f"process {subject}", Kind.CONSUMER, described, parent, links))
