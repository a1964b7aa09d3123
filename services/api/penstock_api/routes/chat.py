"""POST /v1/chat/completions: checks the request, has it accepted, relays the answer."""

import asyncio
import os

import structlog
from starlette.types import Receive, Scope, Send

from penstock_api.domain.chat_request import Form, chat_form
from penstock_api.domain.errors import AnswerLost, ClientLeft, InvalidRequest, ModelNotFound, Stopping
from penstock_api.domain.keys import Key
from penstock_api.domain.keys import Scope as KeyScope
from penstock_api.domain.openai_format import EventWriter, Identity, completion
from penstock_api.domain.trace import continued
from penstock_api.ports.catalogue import Models
from penstock_api.ports.generations import Asked, Generation, Generations
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.body import header, read_body
from penstock_api.routes.reply import CLIENT_LEFT, Reply
from penstock_common.contracts.base import Decision
from penstock_common.contracts.catalogue import CatalogueModel
from penstock_common.contracts.generation import OnDisconnect
from penstock_common.errors import PenstockError

log = structlog.get_logger()

PATH = "/v1/chat/completions"
LARGE_BODY = 256 * 1024  # bytes; parsing more than that would hold up the loop


class ChatCompletions:
    """The route as an ASGI application of its own: little else stands between the socket and the bus."""

    def __init__(self, keys: Authenticator, models: Models, generations: Generations) -> None:
        self.keys, self.models, self.generations = keys, models, generations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reply = Reply(scope, receive, send)
        if accepted := await self._accepted(scope, receive, reply):
            await self._answer(reply, *accepted, receive)

    async def _accepted(self, scope: Scope, receive: Receive, reply: Reply) -> tuple[Form, Generation] | None:
        """Have a request accepted, or tell why it is not. Its text is forgotten when this returns."""
        try:
            key, on_disconnect = self._admitted(scope)
            body = await read_body(scope, receive)
        except ClientLeft:
            reply.count(CLIENT_LEFT)
            return None
        except PenstockError as error:
            await reply.refuse(error)
            return None
        try:
            form = await checked(body)
            model = self._model(form.model)
            reply.model = model.name
            asked = Asked(
                request_id=reply.request_id,
                tenant=key.tenant,
                key_id=key.id,
                model=model.name,
                catalogue_version=self.models.version,
                body=body,
                streamed=form.streamed,
                on_disconnect=on_disconnect,
                traceparent=continued(header(scope, b"traceparent"), os.urandom(24)),
                decisions=self._decisions(key, form.model, model),
            )
            return form, await self.generations.begin(asked)
        except PenstockError as error:
            await reply.fail(error)
            return None

    def _admitted(self, scope: Scope) -> tuple[Key, OnDisconnect]:
        key = self.keys.authenticate(header(scope, b"authorization"))
        key.require(KeyScope.CHAT)
        return key, on_disconnect_of(header(scope, b"x-penstock-on-disconnect"))

    def _model(self, name: str) -> CatalogueModel:
        model = self.models.resolve(name)
        if model is None:
            raise ModelNotFound(
                f"The model `{name}` does not exist; GET /v1/models lists those that do.", param="model"
            )
        return model

    def _decisions(self, key: Key, asked: str, model: CatalogueModel) -> list[Decision]:
        reason = "name" if asked == model.name else "alias"
        return [
            Decision("authenticate", "accepted", f"key {key.prefix}"),
            Decision("resolve_model", model.name, reason, self.models.version),
        ]

    async def _answer(self, reply: Reply, form: Form, generation: Generation, receive: Receive) -> None:
        watching = asyncio.create_task(watch_client(receive, generation))
        identity = Identity(f"chatcmpl-{reply.request_id}", int(generation.accepted_at.timestamp()), form.model)
        try:
            async with asyncio.timeout(generation.seconds_left()):
                if form.streamed:
                    await stream(reply, generation, EventWriter(identity, form.includes_usage))
                else:
                    await whole(reply, generation, identity)
        except ClientLeft:
            reply.count(CLIENT_LEFT)
            self.generations.client_left(generation)
        except TimeoutError:
            self.generations.lost(generation)
            await reply.fail(AnswerLost())
        except asyncio.CancelledError:  # the server stops, and its grace is over
            self.generations.client_left(generation)
            await reply.fail(Stopping())
        except PenstockError as error:
            self.generations.abandoned(generation)
            await reply.fail(error)
        except Exception as error:
            log.exception("answer.crashed", request_id=str(reply.request_id))
            self.generations.abandoned(generation)
            await reply.fail(error)
        finally:
            watching.cancel()
            self.generations.end(generation)


async def checked(body: bytes) -> Form:
    """The form that a body asks for; a large body is parsed beside the loop. Raises InvalidRequest."""
    return chat_form(body) if len(body) < LARGE_BODY else await asyncio.to_thread(chat_form, body)


def on_disconnect_of(value: str | None) -> OnDisconnect:
    """What becomes of the generation if its client leaves. Raises InvalidRequest."""
    try:
        return OnDisconnect(value or OnDisconnect.CANCEL)
    except ValueError as error:
        raise InvalidRequest(
            "The header x-penstock-on-disconnect is `cancel` or `continue`.", "x-penstock-on-disconnect"
        ) from error


async def watch_client(receive: Receive, generation: Generation) -> None:
    """Notice at once that the client left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    generation.leave()


async def whole(reply: Reply, generation: Generation, identity: Identity) -> None:
    """Wait for the end, then answer. Raises ClientLeft and whatever ended the generation."""
    answer = generation.answer
    while not answer.is_over:
        await generation.changed()
    ended = answer.success()
    await reply.whole(completion(answer.body, ended, identity))


async def stream(reply: Reply, generation: Generation, writer: EventWriter) -> None:
    """Relay what arrives, as fast as the client reads it. Raises ClientLeft and whatever ended the generation."""
    answer = generation.answer
    while not (answer.has_news or answer.is_over):
        await generation.changed()
    if not answer.has_news:
        answer.success()  # a failure before the first byte has a status of its own
    await reply.begin_stream()
    while True:
        events = writer.render(answer)
        if answer.is_over and not answer.has_news:
            break
        if events:
            await reply.stream(events)
        else:
            await generation.changed()
    if answer.failure and events:
        await reply.stream(events)
    await reply.end_stream(events + writer.end(answer, answer.success()))
