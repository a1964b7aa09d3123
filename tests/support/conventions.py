"""OpenTelemetry's semantic conventions, as their own package has them, and what Penstock adds."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from opentelemetry.semconv._incubating import attributes as incubating

from tests.support.otlp import Received

OURS = {
    "penstock.request.id",
    "penstock.run.id",
    "penstock.step.kind",
    "penstock.document.id",
    "penstock.attempt",
    "penstock.model",
    "penstock.ending",
}
TEXTS = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt"} | {
    f"gen_ai.tool.{name}" for name in ("call.arguments", "call.result", "definitions", "description")
}
MESSAGING = {"messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name"}
REQUIRED = {
    "gen_ai.operation.name": {"gen_ai.provider.name", "gen_ai.request.model"},
    "penstock.step.kind": {"penstock.step.kind"},
    "penstock.document.id": {"penstock.document.id"},
    "http.request.method": {"http.request.method", "url.path", "url.scheme", "http.response.status_code"},
    "messaging.system": MESSAGING,
    "db.system.name": {"db.system.name"},
}
"""What a span must say, by the attribute that tells what kind of span it is."""
REQUIRED_OF = {
    "invoke_workflow": {"penstock.run.id"},
    "invoke_agent": {"gen_ai.provider.name", "gen_ai.agent.name"},
    "execute_tool": {"gen_ai.tool.name", "gen_ai.tool.type", "gen_ai.tool.call.id"},
}
"""What these operations must say in place of what every call of a model does."""
KINDS = {
    "gen_ai.operation.name": {"CLIENT", "INTERNAL"},
    "penstock.step.kind": {"INTERNAL"},
    "penstock.document.id": {"INTERNAL"},
    "http.request.method": {"SERVER"},
    "messaging.system": {"PRODUCER", "CONSUMER", "CLIENT", "SERVER"},
    "db.system.name": {"CLIENT"},
}


def registered() -> Iterator[str]:
    """The name of every attribute of the conventions."""
    for module in pkgutil.iter_modules(incubating.__path__):
        constants: dict[str, Any] = vars(importlib.import_module(f"{incubating.__name__}.{module.name}"))
        yield from (value for name, value in constants.items() if name.isupper() and isinstance(value, str))


KNOWN = set(registered()) | OURS


def broken(span: Received) -> list[str]:
    """The conventions that a span does not keep."""
    problems = [f"{name} is no attribute of the conventions" for name in span.attributes if name not in KNOWN]
    problems += [f"{name} holds text" for name in span.attributes if name in TEXTS]
    said = [mark for mark in REQUIRED if mark in span.attributes]
    if len(said) != 1:
        problems.append(f"it is a span of {said or 'nothing'}")
    for mark in said:
        required = REQUIRED_OF.get(str(span.attributes[mark]), REQUIRED[mark])
        problems += [f"{name} is missing" for name in required - set(span.attributes)]
        if span.kind not in KINDS[mark]:
            problems.append(f"{mark} on a span of kind {span.kind}")
    if span.failed != ("error.type" in span.attributes):
        problems.append("an error has an error.type, and nothing else has")
    return [f"{span.service}: {span.name}: {problem}" for problem in problems]
