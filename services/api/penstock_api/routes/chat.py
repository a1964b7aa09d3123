"""POST /v1/chat/completions: checks the request, has it accepted, relays the answer."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from starlette.types import Receive, Scope, Send

from penstock_api import metrics
from penstock_api.domain.chat_request import ChatRequest, chat_request
from penstock_api.domain.errors import (
    AnswerLost,
    ClientLeft,
    GenerationCancelled,
    GenerationFailed,
    InvalidRequest,
    ModelNotFound,
    Stopping,
    failure_of,
)
from penstock_api.domain.keys import Key, Scope as KeyScope
from penstock_api.domain.openai_format import EventWriter, Identity, completion
from penstock_api.domain.trace import continued
from penstock_api.ports.catalogue import Models
from penstock_api.ports.generations import Asked, Generation, Generations
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.body import header, read_body, refuse
from penstock_api.routes.http_errors import error_response
from penstock_common.contracts.base import Decision
from penstock_common.contracts.catalogue import CatalogueModel
from penstock_common.contracts.generation import OnDisconnect, Outcome
from penstock_common.contracts.stream import Ended
from penstock_common.errors import PenstockError

log = structlog.get_logger()

PATH = "/v1/chat/completions"
LARGE_BODY = 256 * 1024  # bytes; from here on parsing would hold up the loop
JSON_HEADERS = [(b"content-type", b"application/json")]
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ChatCompletions:
    """The route, as an ASGI application of its own: nothing but this stands between the socket and the bus."""

    def __init__(self, keys: Authenticator, models: Models, generations: Generations) -> None:
        self.keys, self.models, self.generations = keys, models, generations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["state"]["request_id"], receive, send, asyncio.get_running_loop().time())
        try:
            key, on_disconnect = self._admitted(scope)
            body = await read_body(scope, receive)
        except ClientLeft:
            return
        except PenstockError as error:
            await exchange.refuse(error)
            return
        exchange.body_read = True
        try:
            asked, chat = await self._checked(exchange, key, body, scope)
            exchange.model = asked.model
            generation = await self.generations.begin(asked)
        except PenstockError as error:
            await exchange.fail(error)
            return
        await self._relay(exchange, chat, generation, on_disconnect)

    def _admitted(self, scope: Scope) -> tuple[Key, OnDisconnect]:
        key = self.keys.authenticate(header(scope, b"authorization"))
        key.require(KeyScope.CHAT)
        return key, on_disconnect_of(header(scope, b"x-penstock-on-disconnect"))
