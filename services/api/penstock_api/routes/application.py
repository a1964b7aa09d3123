"""The HTTP application: the chat route first, the others behind FastAPI."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from penstock_api.routes.chat import PATH, ChatCompletions
from penstock_api.routes.chat_document import describe_chat
from penstock_api.routes.edge import Edge
from penstock_api.routes.http_errors import install_error_handlers

DESCRIPTION = "An OpenAI-compatible gateway. The header `x-request-id` is the id under which a request is known."


class Application(FastAPI):
    """FastAPI, whose document also shows the route that it does not serve."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; made once."""
        known = self.openapi_schema is not None
        document = super().openapi()
        if not known:
            describe_chat(document, PATH)
        return document


def make_application(
    chat: ChatCompletions, routers: Sequence[APIRouter], ops: Sequence[BaseRoute], is_ready: Callable[[], bool]
) -> ASGIApp:
    """Everything that this service answers over HTTP."""
    hot = Route(PATH, chat, methods=["POST"])
    app = Application(title="Penstock", version="1", description=DESCRIPTION, routes=[hot, *ops], redoc_url=None)
    for router in routers:
        app.include_router(router)
    install_error_handlers(app)
    return Edge(app, is_ready)
