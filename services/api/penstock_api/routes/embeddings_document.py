"""What OpenAPI says of the embeddings route, which FastAPI does not see."""

from typing import Any

import msgspec

from penstock_api.domain.embeddings_request import EmbeddingsRequest
from penstock_api.routes.authentication import SCHEME
from penstock_api.routes.chat_document import (
    COUNT,
    ERRORS,
    IDEMPOTENCY_KEY,
    ON_DISCONNECT,
    REFERENCE,
    TEXT,
    error_response,
)

ENTRY = {
    "type": "object",
    "required": ["object", "index", "embedding"],
    "properties": {
        "object": {"const": "embedding"},
        "index": COUNT,
        "embedding": {
            "description": "Numbers, or little-endian float32 in base64 where `encoding_format` asks for it.",
            "anyOf": [{"type": "array", "items": {"type": "number"}}, TEXT],
        },
    },
}
LIST = {
    "type": "object",
    "required": ["object", "data", "model", "usage"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": ENTRY},
        "model": TEXT,
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "total_tokens"],
            "properties": {"prompt_tokens": COUNT, "total_tokens": COUNT},
        },
    },
    "example": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0264, -0.0583]}],
        "model": "local/all-minilm-l6-v2",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    },
}
EXAMPLE = {"model": "local/all-minilm-l6-v2", "input": ["What is a penstock?"]}


def describe_embeddings(document: dict[str, Any], path: str) -> None:
    """Add the route and its schemas to an OpenAPI document."""
    (reference,), schemas = msgspec.json.schema_components([EmbeddingsRequest], ref_template=REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    answer = {
        "description": "One vector for each input, in their order.",
        "headers": {"x-request-id": {"description": "The id of this request everywhere.", "schema": TEXT}},
        "content": {"application/json": {"schema": LIST}},
    }
    operation = {
        "tags": ["embeddings"],
        "summary": "Create embeddings",
        "description": "As OpenAI's reference has it: a text, up to 2048 texts, or token ids of cl100k_base. "
        "A text longer than the model takes is refused; `truncate_prompt_tokens` of -1 has it cut instead.",
        "operationId": "create_embeddings",
        "security": [{SCHEME: []}],
        "parameters": [IDEMPOTENCY_KEY, ON_DISCONNECT],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference, "example": EXAMPLE}},
        },
        "responses": {"200": answer} | {str(status): error_response(meaning) for status, meaning in ERRORS.items()},
    }
    document["paths"][path] = {"post": operation}
