"""An agent's tools: steps whose arguments a model chooses."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic_ai import ModelRetry, RunContext, Tool

from penstock_common.errors import BusUnavailable, DatabaseUnavailable, NoAnswer, PenstockError
from penstock_common.tasks.declaration import HttpStep, HttpTool, SearchStep, SearchTool
from penstock_worker.domain.calls import Call
from penstock_worker.domain.progress import TOOL_ANSWERED
from penstock_worker.ports import Journal, Runners, StepContext
from penstock_worker.running.traced import tool_span

PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
IN_QUERY = ("GET", "DELETE")
QUESTION = {
    "type": "object",
    "properties": {"text": {"type": "string", "description": "What to look for, in words."}},
    "required": ["text"],
}
ELSEWHERE = (BusUnavailable, DatabaseUnavailable, NoAnswer)
"""What says nothing of the tool: the run waits for these to come back."""

Declared = HttpTool | SearchTool
Step = HttpStep | SearchStep


class Toolbox:
    """Makes the tools of one step's agents. Each call is journalled, under the agent and the model's own call id."""

    def __init__(self, runners: Runners, context: StepContext, journal: Journal) -> None:
        self._runners, self._context, self._journal = runners, context, journal

    def tool(self, declared: Declared, agent: str) -> Tool[Any]:
        """One tool. Calls of one turn run one after another, in the order in which the model made them."""
        schema = schema_of(declared)

        async def call(ctx: RunContext[Any], **arguments: Any) -> Any:
            check(arguments, schema)
            step = step_of(declared, arguments)
            name = f"{agent}.turn-{ctx.run_step}.{ctx.tool_call_id}"

            async def make(call: Call) -> Any:
                return await self._made(step, call)

            return await self._journal.once(name, TOOL_ANSWERED, make)

        return Tool.from_schema(call, declared.name, declared.description, schema, takes_ctx=True, sequential=True)

    async def _made(self, step: Step, call: Call) -> Any:
        """The tool's answer; what went wrong with it is an answer too, which the model may act on."""
        context = replace(self._context, call=call, seconds=min(self._context.seconds, step.timeout))
        with tool_span(step, call) as spanned:
            try:
                return told(await self._runners[type(step)].run(step, context, self._journal))
            except ELSEWHERE:
                raise
            except PenstockError as error:
                spanned.fail(error.code)
                return {"error": error.code, "message": error.message}


def schema_of(declared: Declared) -> dict[str, Any]:
    """JSON Schema of a tool's arguments."""
    if isinstance(declared, SearchTool):
        return QUESTION
    return {"type": "object", "properties": {}, **declared.parameters}


def check(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises ModelRetry, which tells the model what to mend."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    if missing := [name for name in schema.get("required") or () if name not in arguments]:
        raise ModelRetry(f"the argument {missing[0]!r} is missing")
    if unknown := [name for name in arguments if name not in properties]:
        raise ModelRetry(f"there is no argument {unknown[0]!r}; there are: {', '.join(properties) or 'none'}")


def step_of(declared: Declared, arguments: Mapping[str, Any]) -> Step:
    """The step that a call amounts to. Raises ModelRetry."""
    if isinstance(declared, SearchTool):
        return SearchStep(
            name=declared.name, base=declared.base, text=str(arguments["text"])[:65_536] or " ", limit=declared.limit
        )
    url, rest = placed(declared.url, arguments)
    in_query = declared.method in IN_QUERY
    return HttpStep(
        name=declared.name,
        url=with_query(url, rest) if in_query else url,
        method=declared.method,
        headers=declared.headers,
        body=None if in_query else dict(rest),
        expect="any",
        timeout=declared.timeout,
    )


def placed(url: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL with its placeholders filled, and the other arguments. No argument reaches beyond its place.

    Raises ModelRetry for a segment that a client would take for a step up or none at all.
    """
    named = set(PLACE.findall(url))

    def fill(match: re.Match[str]) -> str:
        value = str(arguments.get(match[1], ""))
        if not value.strip("."):
            raise ModelRetry(f"the argument {match[1]!r} can't be {value!r}")
        return quote(value, safe="")

    return PLACE.sub(fill, url), {name: value for name, value in arguments.items() if name not in named}


def with_query(url: str, arguments: Mapping[str, Any]) -> str:
    """The URL with more members in its query."""
    if not arguments:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(arguments))))))


def told(output: Any) -> Any:
    """What the model is told of an HTTP answer: its status, and its JSON or text."""
    if not isinstance(output, dict) or "status" not in output:
        return output
    return {"status": output["status"], "body": output["json"] if "json" in output else output.get("text", "")}
