"""The HTTP application: the routes that are asked most, the others behind FastAPI."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock_api.routes.chat import PATH as CHAT_PATH
from penstock_api.routes.chat_document import describe_chat
from penstock_api.routes.edge import Edge
from penstock_api.routes.embeddings import PATH as EMBEDDINGS_PATH
from penstock_api.routes.embeddings_document import describe_embeddings
from penstock_api.routes.http_errors import install_error_handlers
from penstock_api.routes.reading import reading_routes
from penstock_api.routes.submitting_document import PATH as SUBMITTING_PATH
from penstock_api.routes.submitting_document import describe_submitting

DESCRIPTION = "An OpenAI-compatible gateway. The header `x-request-id` is the id under which a request is known."


class HotRoute(Protocol):
    """A route that is found by its method and path before FastAPI."""

    method: ClassVar[str]
    path: ClassVar[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""


class Application(FastAPI):
    """FastAPI, whose document also shows the routes that it does not serve."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; made once."""
        known = self.openapi_schema is not None
        document = super().openapi()
        if not known:
            describe_chat(document, CHAT_PATH)
            describe_embeddings(document, EMBEDDINGS_PATH)
            describe_submitting(document, SUBMITTING_PATH)
        return document


def make_application(
    hot: Sequence[HotRoute],
    routers: Sequence[APIRouter],
    ops: Sequence[BaseRoute],
    is_ready: Callable[[], bool],
) -> ASGIApp:
    """Everything that this service answers over HTTP."""
    posted = [Route(r.path, r, methods=["POST"]) for r in hot if r.method == "POST"]  # others are told so
    app = Application(
        title="Penstock",
        version="1",
        description=DESCRIPTION,
        routes=[*posted, *ops, *reading_routes()],
        docs_url=None,
        redoc_url=None,
    )
    for router in routers:
        app.include_router(router)
    install_error_handlers(app)
    return Edge(app, {(route.method, route.path): route for route in hot}, is_ready)
