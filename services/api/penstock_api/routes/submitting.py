"""`POST /api/v1/inference`: requests whose answers are fetched later."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.callbacks import LONGEST_SECRET, LONGEST_URL
from penstock_api.domain.deliveries import depth_of
from penstock_api.domain.idempotency import HEADER, idempotency_key_of
from penstock_api.domain.keys import Key, Scope
from penstock_api.domain.submission import LONGEST_SECONDS, USUAL_SECONDS, Submission, submission_of
from penstock_api.domain.suitability import decided, suited
from penstock_api.ports.catalogue import Models
from penstock_api.ports.keys import Authenticator
from penstock_api.ports.submissions import Accepted, Submissions, Submitted
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.body import read_body
from penstock_api.routes.documents import problems
from penstock_common.contracts.queueing import HIGHEST, USUAL
from penstock_common.contracts.runs import DEPTH_HEADER

PATH = "/api/v1/inference"
LARGE_BODY = 256 * 1024  # bytes; parsing more than that would hold up the loop
EXAMPLE_ID = "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e"
QUESTION = {"model": "sim/fast", "messages": [{"role": "user", "content": "What is a penstock?"}]}
EXAMPLE: dict[str, Any] = {"request": QUESTION, "priority": 7, "deadline_seconds": 600}
LINKS = {"self": f"{PATH}/{EXAMPLE_ID}", "result": f"{PATH}/{EXAMPLE_ID}/result"}
ACCEPTED: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "status": "queued",
    "lane": "batch",
    "position": 12,
    "expected_wait_seconds": 3.4,
    "links": LINKS,
}
CALLBACK: dict[str, Any] = {
    "type": "object",
    "description": "A URL that is posted to, signed by Standard Webhooks.",
    "required": ["url", "secret"],
    "additionalProperties": False,
    "properties": {
        "url": {"type": "string", "format": "uri", "maxLength": LONGEST_URL},
        "secret": {
            "type": "string",
            "maxLength": LONGEST_SECRET,
            "description": "`whsec_` and the base64 of 24 to 64 bytes.",
        },
    },
}
BODY: dict[str, Any] = {
    "type": "object",
    "required": ["request"],
    "additionalProperties": False,
    "properties": {
        "request": {
            "type": "object",
            "description": "The body of POST /v1/chat/completions, or of /v1/embeddings. With `stream`, its answer can "
            "be read as it grows, at `/stream`.",
        },
        "kind": {"enum": ["chat", "embeddings"], "default": "chat"},
        "lane": {
            "enum": ["batch", "interactive"],
            "default": "batch",
            "description": "`batch` waits for its turn; `interactive` begins as if its client waited.",
        },
        "priority": {
            "type": "integer",
            "minimum": 0,
            "maximum": HIGHEST,
            "default": USUAL,
            "description": "On the batch lane: the highest of your own goes first.",
        },
        "deadline_seconds": {
            "type": "number",
            "minimum": 1,
            "maximum": LONGEST_SECONDS,
            "default": USUAL_SECONDS,
            "description": "What has not ended by then is `expired`. On the interactive lane as long as an answer may "
            "take, which is also the default there.",
        },
        "webhook": {
            "description": "Who hears of the end, by the event `inference.completed`.",
            "oneOf": [
                {"type": "string", "format": "uuid", "description": "A webhook of yours, whose task is run."},
                CALLBACK,
            ],
        },
    },
    "example": EXAMPLE,
}
DOCUMENT: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": BODY}}}}


class Links(BaseModel):
    """Where the request is."""

    self: str
    result: str = Field(description="The whole answer, once it has ended.")
    stream: str | None = Field(None, description="The answer as it grows, of a request with `stream`.")


class InferenceAccepted(BaseModel):
    """A request that was accepted: it ends once, whatever dies."""

    model_config = ConfigDict(json_schema_extra={"example": ACCEPTED})

    id: UUID
    status: str = Field("queued", description="`queued`; what became of it since is at `links.self`.")
    lane: str
    position: int | None = Field(description="About its place in the queue, from 1; null where that is not known.")
    expected_wait_seconds: float | None = Field(description="By the pace of late; null where that is not known.")
    links: Links


@dataclass(frozen=True, slots=True)
class Submitting:
    """What the route works with."""

    models: Models
    submissions: Submissions
    answer_seconds: float

    async def accept(self, request: Request, key: Key, name: str, depth: int) -> tuple[Submission, Accepted]:
        """Read, check and accept a request. Raises what is wrong with it."""
        raw = await read_body(request.scope, request.receive)
        submission = await self._checked(raw)
        asked = submission.form.model
        model = suited(self.models.resolve(asked), asked, submission.wanted.kind)
        version = self.models.version
        submitted = Submitted(
            request_id=request.scope["state"]["request_id"],
            key=key,
            submission=submission,
            model=model.name,
            catalogue_version=version,
            decisions=decided(key, asked, model, version),
            raw=raw,
            idempotency_key=name,
            depth=depth,
        )
        return submission, await self.submissions.submit(submitted)

    async def _checked(self, raw: bytes) -> Submission:
        """A large body is parsed beside the loop."""
        if len(raw) < LARGE_BODY:
            return submission_of(raw, self.answer_seconds)
        return await asyncio.to_thread(submission_of, raw, self.answer_seconds)


def submitting_router(authenticator: Authenticator, submitting: Submitting) -> APIRouter:
    """The route."""
    router = APIRouter(prefix=PATH, tags=["inference"])
    Caller = Annotated[Key, Depends(authenticated(authenticator, Scope.CHAT))]

    @router.post(
        "", status_code=202, responses=problems(401, 403, 404, 409, 413, 422, 429, 503), openapi_extra=DOCUMENT
    )
    async def submit_inference(
        caller: Caller,
        request: Request,
        response: Response,
        key: Annotated[str | None, Header(alias=HEADER, description="Names it: asked again, it is one.")] = None,
        depth: Annotated[str | None, Header(alias=DEPTH_HEADER, description="Runs above it; steps send it.")] = None,
    ) -> InferenceAccepted:
        """Accept a request whose answer is fetched later. From this answer on it is never lost, and it ends once."""
        submission, accepted = await submitting.accept(request, caller, idempotency_key_of(key), depth_of(depth))
        request.scope["state"]["request_id"] = accepted.request_id
        place = f"{PATH}/{accepted.request_id}"
        response.headers["location"] = place
        if accepted.repeated:
            response.headers["idempotent-replayed"] = "true"
        stream = f"{place}/stream" if submission.form.streamed else None
        return InferenceAccepted(
            id=accepted.request_id,
            lane=submission.wanted.lane,
            position=accepted.position,
            expected_wait_seconds=accepted.expected_wait_seconds,
            links=Links(self=place, result=f"{place}/result", stream=stream),
        )

    return router
