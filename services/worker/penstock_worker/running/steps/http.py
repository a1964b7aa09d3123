"""Calls an HTTP tool, guarded."""

import asyncio
from typing import Any

import msgspec

from penstock_common.contracts.runs import DEPTH_HEADER
from penstock_common.guarded_http import GuardedHttp, ToolReply, ToolRequest
from penstock_common.messaging.replayed import effects_allowed
from penstock_common.tasks.declaration import HttpStep
from penstock_worker.domain.errors import EffectsSuppressed, ToolFailed, ToolRefused
from penstock_worker.ports import Journal, StepContext

UNSAFE = ("POST", "PATCH")  # RFC 9110 §9.2.2: the other methods are idempotent by themselves
IDEMPOTENCY_KEY = "Idempotency-Key"  # draft-ietf-httpapi-idempotency-key-header
MAX_HEADERS, MAX_HEADER = 50, 1024  # headers kept of an answer, and characters of each
LATER = frozenset({408, 425, 429})


class HttpRunner:
    """Gives `status`, `headers`, `text`, `seconds`; `json` where the answer says that it is JSON."""

    def __init__(self, http: GuardedHttp) -> None:
        self.http = http

    async def run(self, step: HttpStep, context: StepContext, journal: Journal) -> Any:
        """Call. Raises the errors of `GuardedHttp`, EffectsSuppressed, ToolFailed, ToolRefused."""
        require_effects()
        headers = {name: value for name, value in step.headers.items() if name.lower() != DEPTH_HEADER}
        headers[DEPTH_HEADER], body = str(context.run.depth + 1), None
        named = {name.lower() for name in headers}
        if step.body is not None:
            body = step.body.encode() if isinstance(step.body, str) else msgspec.json.encode(step.body)
            if "content-type" not in named:
                headers["Content-Type"] = "text/plain" if isinstance(step.body, str) else "application/json"
        if step.method in UNSAFE and IDEMPOTENCY_KEY.lower() not in named:
            headers[IDEMPOTENCY_KEY] = f'"{context.call.id}"'
        clock = asyncio.get_running_loop().time
        began = clock()
        reply = await self.http.call(ToolRequest(step.method, step.url, headers, body), context.seconds)
        check_status(reply.status, step.expect)
        return shaped(reply, clock() - began)


def require_effects() -> None:
    """Raises EffectsSuppressed in a run that may not reach outside of the platform."""
    if not effects_allowed():
        raise EffectsSuppressed


def check_status(status: int, expect: Any) -> None:
    """Raises ToolFailed where a status is not expected and may pass, else ToolRefused."""
    if expect == "any" or (status in expect if expect else status < 400):
        return
    if status in LATER or status >= 500:
        raise ToolFailed(f"the tool answered with status {status}")
    raise ToolRefused(f"the tool answered with status {status}, which the step does not expect")


def shaped(reply: ToolReply, seconds: float) -> dict[str, Any]:
    """The step's output."""
    headers = {name: value[:MAX_HEADER] for name, value in list(reply.headers.items())[:MAX_HEADERS]}
    text = reply.body.decode("utf-8", "replace")
    output: dict[str, Any] = {"status": reply.status, "headers": headers, "text": text, "seconds": round(seconds, 3)}
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            output["json"] = msgspec.json.decode(reply.body)
        except (msgspec.MsgspecError, RecursionError):
            output["json"] = None
    return output
