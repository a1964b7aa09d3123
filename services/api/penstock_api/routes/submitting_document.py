"""What the submitting route gives, and what OpenAPI says of it, which FastAPI does not see."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from penstock_api.domain.callbacks import LONGEST_SECRET, LONGEST_URL
from penstock_api.domain.idempotency import HEADER
from penstock_api.domain.submission import LONGEST_SECONDS, USUAL_SECONDS
from penstock_api.routes.authentication import SCHEME
from penstock_api.routes.documents import TEXT, problems
from penstock_common.contracts.queueing import HIGHEST, USUAL
from penstock_common.contracts.runs import DEPTH_HEADER

PATH = "/api/v1/inference"
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
ANSWER = "#/components/schemas/InferenceAccepted"


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


def describe_submitting(document: dict[str, Any], path: str) -> None:
    """Add the route and its schemas to an OpenAPI document."""
    reference = "#/components/schemas/{model}"
    _, schemas = models_json_schema([(InferenceAccepted, "serialization")], ref_template=reference)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
    answer = {
        "description": "The request is on disk.",
        "content": {"application/json": {"schema": {"$ref": ANSWER}}},
    }
    errors = problems(401, 403, 404, 409, 413, 422, 429, 503)
    operation = {
        "tags": ["inference"],
        "summary": "Submit Inference",
        "description": "Accept a request whose answer is fetched later. From this answer on it is never lost, and it "
        "ends once.",
        "operationId": "submit_inference_api_v1_inference_post",
        "security": [{SCHEME: []}],
        "parameters": [
            _header(HEADER, "Names it: asked again, it is one."),
            _header(DEPTH_HEADER, "Runs above it; steps send it."),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": BODY}}},
        "responses": {"202": answer} | {str(status): error for status, error in errors.items()},
    }
    document["paths"][path] = {"post": operation}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": TEXT}
