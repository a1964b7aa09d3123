"""What every request passes first: it gets its id, and absurd headers end here."""

import asyncio
import re
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock_api.domain.errors import HeadersTooLarge, Starting, Stopping
from penstock_api.routes.http_errors import error_response
from penstock_api.routes.traced import TRACED, in_trace
from penstock_common.errors import PenstockError
from penstock_common.ids import text_of, uuid7

log = structlog.get_logger()

MAX_HEADERS = 100
MAX_HEADER_BYTES = 64 * 1024

NEED_STATE = ("/v1/", "/api/")
"""Routes that know keys and models only once the service has started."""


ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Hot = Mapping[tuple[str, str], ASGIApp]
"""Routes by their method and path, of which the last part may be `{id}`."""


class Edge:
    """Gives each request the id under which it is known everywhere, and says it in `x-request-id`.

    What is asked of a hot path goes to its route at once, which says the id and notes its status itself.
    """

    def __init__(self, app: ASGIApp, hot: Hot, is_ready: Callable[[], bool]) -> None:
        self.app, self.hot, self.is_ready = app, hot, is_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = uuid7()
        name = state["name"] = text_of(request_id)
        path = scope["path"]
        route = unfilled(path)
        hot = self.hot.get((scope["method"], route))
        app: ASGIApp
        if refusal := self._refusal(scope, path):
            app, send = error_response(refusal, path, name), named(state, send)
        elif hot is not None:
            app = hot
            state["route"] = route
        else:
            app, send = self.app, named(state, send)
        try:
            if path.startswith(TRACED):
                await in_trace(app, scope, receive, send)
            else:
                await app(scope, receive, send)
        except asyncio.CancelledError:  # the server gives up what outlives the grace of a stop, and says 500 of it
            if "status" in state:
                raise
            await error_response(Stopping(), path, name)(scope, receive, send if hot is None else named(state, send))

    def _refusal(self, scope: Scope, path: str) -> PenstockError | None:
        """Why the request goes no further."""
        headers = scope["headers"]
        if len(headers) > MAX_HEADERS or sum(map(len, chain.from_iterable(headers))) > MAX_HEADER_BYTES:
            return HeadersTooLarge()
        return Starting() if not self.is_ready() and path.startswith(NEED_STATE) else None


def unfilled(path: str) -> str:
    """A path as its route has it, where it ends with an id."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/{{id}}" if ID.fullmatch(name) else path


def named(state: dict[str, Any], send: Send) -> Send:
    """Send, but the response says the request's id, and its status is noted."""

    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start":
            state["status"] = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", state["name"].encode())]
        await send(message)

    return send_named


async def refused(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """Tell what is wrong with a request that a hot route took."""
    state, path = scope["state"], scope["path"]
    if not isinstance(error, PenstockError):
        log.error("request.crashed", path=path, request_id=state["name"], exc_info=error)
    await error_response(error, path, state["name"])(scope, receive, named(state, send))
