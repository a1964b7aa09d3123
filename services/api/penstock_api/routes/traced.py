"""Each request counted, and in a trace: its caller's where the caller has one, else one that begins here."""

import os
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock_api import metrics
from penstock_api.routes.body import header
from penstock_common.messaging.envelope import CONTEXT, Context
from penstock_common.tracing.spans import UNTRACED, Beginning, Kind, Span, Tracing, begin, conclude
from penstock_common.tracing.traceparent import continued

TRACED = ("/v1/", "/api/", "/hooks/")
"""What clients ask for; whoever looks at the process itself leaves no trace."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER = "_OTHER"
NONE = "-"
"""Label of requests that no route took, and of those whose client left before an answer."""


async def in_trace(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request; what it leads to, here and in other processes, belongs to its trace and names its id."""
    given = header(scope, b"traceparent") or ""
    span = UNTRACED if Tracing.tracer is None else begin(beginning(scope, given))
    traceparent = span.traceparent or continued(given, os.urandom(24))
    token = CONTEXT.set(Context(correlation=str(scope["state"]["request_id"]), traceparent=traceparent))
    try:
        await served(app, scope, receive, send, span)
    finally:
        CONTEXT.reset(token)


async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
    """Serve a request, count it, and say of its span how that went."""
    status, began = 0, time.monotonic()

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    error: BaseException | None = None
    try:
        await app(scope, receive, noting)
    except BaseException as raised:
        error = raised
        raise
    finally:
        route = route_of(scope)
        metrics.HTTP_REQUESTS.labels(method_of(scope), route or NONE, status or NONE).inc()
        metrics.HTTP_SECONDS.labels(route or NONE).observe(time.monotonic() - began)
        if span is not UNTRACED:
            describe(span, scope, route, status)
            conclude(span, error)


def beginning(scope: Scope, parent: str) -> Beginning:
    """What is known of a request before its route is."""
    described = {
        "http.request.method": method_of(scope),
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    return Beginning(name_of(scope), Kind.SERVER, described, parent)


def describe(span: Span, scope: Scope, route: str | None, status: int) -> None:
    """Say what was asked for. A path is said as its route has it: names and ids in it are the client's."""
    span.set({"penstock.request.id": str(scope["state"]["request_id"])})
    if status:
        span.set({"http.response.status_code": status})
    if status >= 500:
        span.fail(str(status))
    if route is None:
        span.set({"url.path": next(prefix for prefix in TRACED if scope["path"].startswith(prefix))})
        return
    span.rename(f"{name_of(scope)} {route}")
    span.set({"http.route": route, "url.path": route})


def method_of(scope: Scope) -> str:
    """The method; one of a client's own making is `_OTHER`."""
    return scope["method"] if scope["method"] in METHODS else OTHER


def name_of(scope: Scope) -> str:
    """The method as it stands in a span's name."""
    return scope["method"] if scope["method"] in METHODS else "HTTP"


def route_of(scope: Scope) -> str | None:
    """The route's path with its parameters unfilled; None where no route took the request."""
    if route := scope.get("route"):
        path: str = route.path_format
        return path
    fixed = "endpoint" in scope and not scope.get("path_params")
    return scope["path"] if fixed else None
