"""A run in the trace of what started it, whichever process carries it on."""

from collections.abc import Iterator
from contextlib import contextmanager

from penstock_common.messaging.envelope import CONTEXT, Context
from penstock_common.tracing.spans import Kind, span
from penstock_worker.ports import Claimed


@contextmanager
def in_trace_of(held: Claimed) -> Iterator[None]:
    """What is sent, asked and written in the block belongs to the run: to its trace, and to it by correlation."""
    run_id = str(held.hold.run_id)
    token = CONTEXT.set(Context(tenant=str(held.tenant), correlation=run_id, traceparent=held.traceparent))
    described = {"gen_ai.operation.name": "invoke_workflow", "penstock.run.id": run_id}
    try:
        with span("invoke_workflow", Kind.INTERNAL, described):
            yield
    finally:
        CONTEXT.reset(token)
