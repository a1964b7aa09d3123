"""`/api/v1/inference`: requests by their ids, on whichever process they were accepted."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from penstock_api import metrics
from penstock_api.domain.answer import Answer
from penstock_api.domain.inference import AnswerGone, AnswerNotStreamed, AnswerUnfinished, StreamExpired
from penstock_api.domain.keys import Key, Scope
from penstock_api.domain.position import Position
from penstock_api.domain.whole_answer import WholeAnswer, whole_body
from penstock_api.ports.generations import Generation, Generations, Known, Lookup
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.answering import LARGE_BODY, ended
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.chat_document import COMPLETION
from penstock_api.routes.documents import Responses, problems
from penstock_api.routes.embeddings_document import LIST
from penstock_api.routes.inference_shapes import InferenceView, view_of
from penstock_api.routes.resuming import Resumed, ResumedStream, identity_of
from penstock_common.clock import Clock
from penstock_common.contracts.stream import Ended

Id = Annotated[UUID, Path(alias="id", description="The header `x-request-id` of the answer.")]
STREAM = (
    "The events of the chat completion that the client lacks: chunks, then `[DONE]`, or an `error` event where it "
    "broke off. The id of each says what the client has once it has read it."
)
EVENTS: Responses = {
    200: {"description": STREAM, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    204: {"description": "The answer has ended, and the client has all of it."},
}
RESULT: Responses = {
    200: {
        "description": "The answer, whole: a chat completion, also of a request that was streamed, or embeddings.",
        "content": {"application/json": {"schema": {"anyOf": [COMPLETION, LIST]}}},
    },
}
STOPPED: Responses = {202: {"model": InferenceView, "description": "The stop is kept; the end is not known yet."}}


@dataclass(frozen=True, slots=True)
class Terms:
    """How long streams may be taken up again after their end, and how long a client may make no room; seconds."""

    clock: Clock
    resume_seconds: float
    slow_seconds: float


def inference_router(authenticator: Authenticator, lookup: Lookup, generations: Generations, terms: Terms) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1/inference", tags=["inference"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]

    @router.get("/{id}", responses=problems(401, 403, 404, 422, 503, 504))
    async def show_inference(caller: Caller, id_: Id) -> InferenceView:
        """What became of a request, or becomes of it now."""
        return view_of(await lookup.find(caller.tenant, id_))

    @router.get(
        "/{id}/result",
        response_class=Response,
        responses=RESULT | problems(401, 403, 404, 409, 410, 422, 429, 503, 504),
    )
    async def read_result(caller: Caller, id_: Id) -> Response:
        """The whole answer of a request that has ended, for as long as it is kept; else why there is none."""
        known = await lookup.find(caller.tenant, id_)
        if not known.has_ended:
            raise AnswerUnfinished
        if not known.is_complete:
            known = await lookup.begun(caller.tenant, id_)
        return Response(await whole_answer(generations, kept(known)), media_type="application/json")

    @router.get(
        "/{id}/stream",
        response_class=Response,
        responses=EVENTS | problems(400, 401, 403, 404, 409, 410, 422, 429, 503, 504),
    )
    async def resume_stream(
        caller: Caller,
        id_: Id,
        after: Annotated[str | None, Query(description="The id of the last event that was read.")] = None,
        last_event_id: Annotated[str | None, Header(description="The same, as browsers send it.")] = None,
        native: Annotated[bool, Query(description="Tell of the request's state, attempts and end, too.")] = False,
    ) -> Response:
        """A streamed answer from where a client was cut, or from its beginning, then as it grows, until its end."""
        position = position_of(after or last_event_id)
        known = await lookup.begun(caller.tenant, id_)
        require_stream(known, terms)
        answer = Answer(streamed=True, after=position, restarts=native)
        generation = await generations.resume(known, answer)
        return ResumedStream(Resumed(generations, known, generation, native, terms.slow_seconds))

    @router.delete("/{id}", responses=STOPPED | problems(401, 403, 404, 422, 503, 504))
    async def stop_inference(caller: Caller, id_: Id, response: Response) -> InferenceView:
        """Stop a request for good, wherever it runs. One that has ended stays as it is."""
        known = await lookup.stop(caller.tenant, id_)
        response.status_code = 200 if known.has_ended else 202
        return view_of(known)

    return router


def position_of(word: str | None) -> Position | None:
    """What a client says that it has. Raises PositionInvalid."""
    return Position.parse(word) if word else None


def require_stream(known: Known, terms: Terms) -> None:
    """Raises AnswerNotStreamed, StreamExpired, AnswerGone."""
    if not known.about.streamed:
        raise AnswerNotStreamed
    ended_at = known.state.ended_at
    if ended_at and terms.clock.now() > ended_at + timedelta(seconds=terms.resume_seconds):
        metrics.RESUMED.labels("expired").inc()
        raise StreamExpired(
            f"The stream could be taken up until {terms.resume_seconds:g} s after its end; the whole answer is at "
            f"/api/v1/inference/{known.request_id}/result."
        )
    if known.has_ended:
        kept(known)


def kept(known: Known) -> Known:
    """A request that has ended, with its answer. Raises AnswerGone."""
    if not known.state.is_kept:
        raise AnswerGone(f"The request ended as `{known.state.outcome}`, and no answer of it is kept.")
    return known


async def whole_answer(generations: Generations, known: Known) -> bytes:
    """The recorded answer as JSON. Raises whatever kept it from succeeding."""
    identity, streamed = identity_of(known), known.about.streamed
    generation = await generations.resume(known, Answer(streamed=streamed))
    try:
        if streamed:
            whole, end = await assembled(generation)
            return whole.completion(end, identity)
        end = await ended(generation)
        body = generation.answer.body
        if len(body) < LARGE_BODY:
            return whole_body(body, end, identity)
        return await asyncio.to_thread(whole_body, body, end, identity)
    finally:
        generations.end(generation)


async def assembled(generation: Generation) -> tuple[WholeAnswer, Ended]:
    """A streamed answer, whole. Raises whatever kept it from succeeding."""
    whole, answer = WholeAnswer(), generation.answer
    while True:
        while (piece := answer.take()) is not None:
            whole.take(piece)
        if answer.is_over:
            return whole, answer.success()
        await generation.changed()
