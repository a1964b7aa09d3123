"""What the routes share whose answer inference makes: the request is checked, accepted by the bus, and answered."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog
from starlette.types import Receive, Scope, Send

from penstock_api.domain.errors import (
    AnswerLost,
    ClientLeft,
    InvalidRequest,
    SlowReader,
    Stopping,
)
from penstock_api.domain.idempotency import idempotency_key_of
from penstock_api.domain.keys import Key
from penstock_api.domain.keys import Scope as KeyScope
from penstock_api.domain.suitability import decided, suited
from penstock_api.ports.catalogue import Models
from penstock_api.ports.generations import Asked, Generation, Generations
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.body import header, read_body
from penstock_api.routes.reply import CLIENT_LEFT, Reply
from penstock_common.contracts.generation import GenerateText, OnDisconnect
from penstock_common.contracts.stream import Ended
from penstock_common.errors import PenstockError
from penstock_common.messaging.envelope import CONTEXT

log = structlog.get_logger()

CUT_SECONDS = 1.0
LARGE_BODY = 256 * 1024  # bytes; parsing more than that would hold up the loop


class AnyForm(Protocol):
    """What is kept of a request while it is answered."""

    @property
    def model(self) -> str:
        """As the client wrote it."""

    @property
    def streamed(self) -> bool:
        """Whether the answer comes in pieces."""

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the token counts."""


F = TypeVar("F", bound=AnyForm)


@dataclass(frozen=True, slots=True)
class Checked(Generic[F]):
    """A request that may be answered."""

    form: F
    body: bytes
    """What inference is given."""


class AnsweringRoute(ABC, Generic[F]):
    """A route as an ASGI application of its own: little else stands between the socket and the bus."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]
    contract: ClassVar[type[GenerateText]] = GenerateText
    capability: ClassVar[str]
    """What a model must be able to do, where it is known what it can."""

    def __init__(self, keys: Authenticator, models: Models, generations: Generations, slow_seconds: float) -> None:
        self.keys, self.models, self.generations = keys, models, generations
        self.slow_seconds = slow_seconds

    @abstractmethod
    def check(self, body: bytes) -> Checked[F]:
        """A body, checked. Raises InvalidRequest."""

    @abstractmethod
    async def relay(self, reply: Reply, generation: Generation, form: F) -> None:
        """Answer the client. Raises ClientLeft and whatever ended the generation."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reply = Reply(scope, receive, self.slow_seconds)
        if accepted := await self._accepted(scope, receive, reply):
            form, generation = accepted
            await answered(reply, self.generations, generation, self.relay(reply, generation, form))

    async def _accepted(self, scope: Scope, receive: Receive, reply: Reply) -> tuple[F, Generation] | None:
        """Have a request accepted, or tell why it is not. Its text is forgotten when this returns."""
        try:
            key, name, on_disconnect = self._admitted(scope)
            body = await read_body(scope, receive)
        except ClientLeft:
            reply.count(CLIENT_LEFT)
            return None
        except PenstockError as error:
            await reply.refuse(error)
            return None
        try:
            checked = await self._checked(body)
            form = checked.form
            model = suited(self.models.resolve(form.model), form.model, self.capability)
            reply.model = model.name
            asked = Asked(
                request_id=reply.request_id,
                tenant=key.tenant,
                key_id=key.id,
                model=model.name,
                catalogue_version=self.models.version,
                body=checked.body,
                contract=self.contract,
                streamed=form.streamed,
                on_disconnect=on_disconnect,
                traceparent=CONTEXT.get().traceparent,
                decisions=decided(key, form.model, model, self.models.version),
                idempotency_key=name,
                asked=form.model,
                includes_usage=form.includes_usage,
                tier=key.tier,
            )
            generation = await self.generations.begin(asked)
            reply.answers(generation.request_id, repeated=generation.repeated)
            return form, generation
        except PenstockError as error:
            await reply.fail(error)
            return None

    async def _checked(self, body: bytes) -> Checked[F]:
        """A large body is parsed beside the loop."""
        return self.check(body) if len(body) < LARGE_BODY else await asyncio.to_thread(self.check, body)

    def _admitted(self, scope: Scope) -> tuple[Key, str, OnDisconnect]:
        key = self.keys.authenticate(header(scope, b"authorization"))
        key.require(KeyScope.CHAT)
        name = idempotency_key_of(header(scope, b"idempotency-key"))
        # Who names a request means to come back for its answer.
        usual = OnDisconnect.CONTINUE if name else OnDisconnect.CANCEL
        return key, name, on_disconnect_of(header(scope, b"x-penstock-on-disconnect") or usual)


async def answered(
    reply: Reply, generations: Generations, generation: Generation, relay: Coroutine[Any, Any, None]
) -> None:
    """Relay an answer to its client, and see to what becomes of the generation however that ends."""
    reply.exchange.watch(generation.leave)
    try:
        await _relayed(reply, generations, generation, relay)
    except SlowReader:
        reply.count(CLIENT_LEFT)
        generations.dropped(generation)
        await cut(reply, generation)
    finally:
        generations.end(generation)


async def _relayed(
    reply: Reply, generations: Generations, generation: Generation, relay: Coroutine[Any, Any, None]
) -> None:
    """Relay an answer, or tell its client why it has none. Raises SlowReader."""
    try:
        await relay
    except ClientLeft:
        reply.count(CLIENT_LEFT)
        generations.client_left(generation)
    except AnswerLost as error:
        generations.lost(generation)
        await reply.fail(error)
    except asyncio.CancelledError:  # the server stops, and its grace is over: another process may go on with it
        await reply.fail(Stopping.in_stream(reply.name) if reply.is_streaming else Stopping())
    except SlowReader:
        raise
    except PenstockError as error:
        generations.abandoned(generation)
        await reply.fail(error)
    except Exception as error:
        log.exception("answer.crashed", request_id=str(reply.request_id))
        generations.abandoned(generation)
        await reply.fail(error)


async def cut(reply: Reply, generation: Generation) -> None:
    """End a connection in mid-answer, without a mark of an end; returns when it is gone."""
    reply.exchange.abort()
    with contextlib.suppress(ClientLeft, AnswerLost, TimeoutError):
        async with asyncio.timeout(CUT_SECONDS):
            while True:
                await generation.changed()


def on_disconnect_of(value: str) -> OnDisconnect:
    """What becomes of the generation if its client leaves. Raises InvalidRequest."""
    try:
        return OnDisconnect(value)
    except ValueError as error:
        raise InvalidRequest(
            "The header x-penstock-on-disconnect is `cancel` or `continue`.", "x-penstock-on-disconnect"
        ) from error


async def ended(generation: Generation) -> Ended:
    """Wait for the end. Raises ClientLeft and whatever kept it from succeeding."""
    while not generation.answer.is_over:
        await generation.changed()
    return generation.answer.success()
