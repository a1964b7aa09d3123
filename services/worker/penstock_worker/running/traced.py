"""Runs in the trace of what started them. Steps, agents and tools are said by kind: their names are a client's."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from penstock_common.messaging.envelope import CONTEXT, Context
from penstock_common.tasks.declaration import AnyStep, HttpStep, SearchStep
from penstock_common.tracing.spans import Kind, Span, span
from penstock_worker.domain.calls import Call
from penstock_worker.ports import Claimed

TOOL_TYPES: dict[type[HttpStep | SearchStep], str] = {HttpStep: "extension", SearchStep: "datastore"}
"""As OpenTelemetry sorts tools."""


@contextmanager
def in_trace_of(held: Claimed) -> Iterator[Span]:
    """What is sent, asked and written in the block belongs to the run: to its trace, and to it by correlation."""
    run_id = str(held.hold.run_id)
    context = Context(
        tenant=str(held.tenant),
        correlation=run_id,
        traceparent=held.traceparent,
        replay=held.replay,
        effects=held.effects,
    )
    token = CONTEXT.set(context)
    described = {"gen_ai.operation.name": "invoke_workflow", "penstock.run.id": run_id}
    try:
        with span("invoke_workflow", Kind.INTERNAL, described) as spanned:
            yield spanned
    finally:
        CONTEXT.reset(token)


def step_span(step: AnyStep) -> AbstractContextManager[Span]:
    """A step with all its attempts."""
    kind = str(step.__struct_config__.tag)
    return span(f"step {kind}", Kind.INTERNAL, {"penstock.step.kind": kind})


def agent_span(role: Literal["supervisor", "specialist"]) -> AbstractContextManager[Span]:
    """An agent at work, by its role in the step."""
    described = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "penstock",
        "gen_ai.agent.name": role,
    }
    return span(f"invoke_agent {role}", Kind.INTERNAL, described)


def tool_span(step: HttpStep | SearchStep, call: Call) -> AbstractContextManager[Span]:
    """A call that an agent makes of a tool; what the journal has answered makes none."""
    name = str(step.__struct_config__.tag)
    described = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": TOOL_TYPES[type(step)],
        "gen_ai.tool.call.id": str(call.id),
    }
    return span(f"execute_tool {name}", Kind.INTERNAL, described)
