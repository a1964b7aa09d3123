"""A document's way in the trace of what asked for it, whichever process takes it on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from penstock_common.messaging.envelope import CONTEXT, Context
from penstock_common.tracing.spans import Kind, Span, span
from penstock_indexer.ports import Claimed


@contextmanager
def in_trace_of(claimed: Claimed) -> Iterator[None]:
    """What is asked and written in the block belongs to the document: to its trace, and to it by correlation."""
    context = Context(tenant=str(claimed.tenant), correlation=str(claimed.id), traceparent=claimed.traceparent)
    token = CONTEXT.set(context)
    try:
        yield
    finally:
        CONTEXT.reset(token)


def document_span(claimed: Claimed) -> AbstractContextManager[Span]:
    """A turn of work on a document."""
    return span("index document", Kind.INTERNAL, {"penstock.document.id": str(claimed.id)})
