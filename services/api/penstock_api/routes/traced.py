"""Each request counted, and in a trace: its caller's where the caller has one, else one that begins here."""

import os
import time

from starlette.types import ASGIApp, Receive, Scope, Send

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
    """Serve a request and count it; what it leads to, here and in other processes, belongs to its trace.

    Its status is what the state of its scope says once it is served.
    """
    given = header(scope, b"traceparent") or ""
    span = UNTRACED if Tracing.tracer is None else begin(beginning(scope, given))
    traceparent = span.traceparent or continued(given, os.urandom(24))
    token = CONTEXT.set(Context(correlation=scope["state"]["name"], traceparent=traceparent))
    began = time.monotonic()
    error: BaseException | None = None
    try:
        await app(scope, receive, send)
    except BaseException as raised:
        error = raised
        raise
    finally:
        CONTEXT.reset(token)
        route, status = route_of(scope), scope["state"].get("status", 0)
        metrics.http_requests_of(method_of(scope), route or NONE, status or NONE).inc()
        metrics.http_seconds_of(route or NONE).observe(time.monotonic() - began)
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
    if hot := scope["state"].get("route"):
        return str(hot)
    fixed = "endpoint" in scope and not scope.get("path_params")
    return scope["path"] if fixed else None
