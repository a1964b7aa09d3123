"""What every request passes first: it gets its id, and absurd headers end here."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock_api.domain.errors import HeadersTooLarge, Starting
from penstock_api.routes.http_errors import error_response
from penstock_api.routes.traced import TRACED, in_trace
from penstock_common.ids import uuid7

MAX_HEADERS = 100
MAX_HEADER_BYTES = 64 * 1024

NEED_STATE = ("/v1/", "/api/")
"""Routes that know keys and models only once the service has started."""


class Edge:
    """Gives each request the id under which it is known everywhere, and says it in `x-request-id`."""

    def __init__(self, app: ASGIApp, is_ready: Callable[[], bool]) -> None:
        self.app, self.is_ready = app, is_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = uuid7()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = str(state["request_id"]).encode()
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", named)]
            await send(message)

        app, path = self.app, scope["path"]
        if not _headers_fit(scope["headers"]):
            app = error_response(HeadersTooLarge(), path, str(request_id))
        elif not self.is_ready() and path.startswith(NEED_STATE):
            app = error_response(Starting(), path, str(request_id))
        if path.startswith(TRACED):
            await in_trace(app, scope, receive, send_named)
        else:
            await app(scope, receive, send_named)


def _headers_fit(headers: list[tuple[bytes, bytes]]) -> bool:
    return len(headers) <= MAX_HEADERS and sum(len(k) + len(v) for k, v in headers) <= MAX_HEADER_BYTES
