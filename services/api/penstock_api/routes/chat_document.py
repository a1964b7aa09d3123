"""What OpenAPI says of the chat route, which FastAPI does not see."""

from typing import Any

import msgspec

from penstock_api.domain.chat_request import ChatRequest
from penstock_api.routes.authentication import SCHEME
from penstock_api.routes.documents import OPENAI_ERROR

REFERENCE = "#/components/schemas/{name}"
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
USAGE = {
    "type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "properties": {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
}
COMPLETION = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        "id": TEXT | {"description": "`chatcmpl-` and the request id."},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": TEXT,
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": USAGE,
    },
    "example": {
        "id": "chatcmpl-01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e",
        "object": "chat.completion",
        "created": 1763719200,
        "model": "sim/fast",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Water flows."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    },
}
EXAMPLE = {"model": "sim/fast", "messages": [{"role": "user", "content": "What is a penstock?"}]}
ON_DISCONNECT = {
    "name": "x-penstock-on-disconnect",
    "in": "header",
    "description": "What becomes of the generation if its client leaves. With an Idempotency-Key: `continue`.",
    "schema": {"enum": ["cancel", "continue"], "default": "cancel"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Your own name for this request, for 24 hours. Sent again with the same body, it gives the answer "
    "of the first time, from its beginning, while that one runs and after, and is charged once; the header "
    "`idempotent-replayed` marks it. After a failure it is a new request.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
STREAM = (
    "Events of `chat.completion.chunk` objects, then `[DONE]`; an `error` event instead where it broke off. After a "
    "cut, GET /api/v1/inference/{x-request-id}/stream, with the id of the last event as `Last-Event-ID`, gives the "
    "rest."
)
ERRORS = {
    400: "The request is not valid, or the engine refused it; the sentence says where and why.",
    401: "No valid API key was sent.",
    403: "The API key may not be used for this.",
    404: "There is no such model.",
    409: "The Idempotency-Key was used for another request.",
    408: "The body did not arrive in time.",
    413: "The body is larger than 6 MB.",
    429: "The platform, this project or the engine is at its limit; `Retry-After` says when to try again.",
    431: "The headers are more than 100, or larger than 64 KiB.",
    503: "The bus, the records or the engine are away; `Retry-After` says when to try again.",
    504: "The engine did not answer in time.",
}


def describe_chat(document: dict[str, Any], path: str) -> None:
    """Add the route and its schemas to an OpenAPI document."""
    (reference,), schemas = msgspec.json.schema_components([ChatRequest], ref_template=REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    body = {"schema": reference, "example": EXAMPLE}
    answer = {
        "description": "The answer, whole or as a stream.",
        "headers": {"x-request-id": {"description": "The id of this request everywhere.", "schema": TEXT}},
        "content": {
            "application/json": {"schema": COMPLETION},
            "text/event-stream": {"schema": TEXT | {"description": STREAM}},
        },
    }
    operation = {
        "tags": ["chat"],
        "summary": "Create a chat completion",
        "description": "As OpenAI's reference has it; members that are not listed here are passed to the engine.",
        "operationId": "create_chat_completion",
        "security": [{SCHEME: []}],
        "parameters": [IDEMPOTENCY_KEY, ON_DISCONNECT],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"200": answer} | {str(status): error_response(meaning) for status, meaning in ERRORS.items()},
    }
    document["paths"][path] = {"post": operation}


def error_response(meaning: str) -> dict[str, Any]:
    """A response with OpenAI's error object."""
    return {"description": meaning, "content": {"application/json": {"schema": OPENAI_ERROR}}}
