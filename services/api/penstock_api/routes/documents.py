"""What OpenAPI says of errors, beside the responses of each route."""

from typing import Any

from penstock_api.domain.openai_format import error_object
from penstock_common.contracts.stream import Failure
from penstock_common.errors import Fault

MEANING = {
    400: "What the route needs beside the body is missing.",
    401: "No valid API key was sent.",
    403: "The API key may not be used for this.",
    404: "There is no such thing, or it belongs to somebody else.",
    409: "It contradicts what exists.",
    410: "It was there, and is given no longer; the sentence says what is left of it.",
    413: "The body is larger than the route takes; the sentence says how much that is.",
    422: "The request is not valid; the sentence names the field.",
    429: "There are too many for now; `Retry-After` says when to try again.",
    503: "The bus or the database is away; `Retry-After` says when to try again.",
    504: "The service that knows did not answer in time.",
}
TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "title": "Problem (RFC 9457)",
    "required": ["type", "title", "status", "detail", "code", "instance"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": TEXT | {"description": "Names the error for programs; never changes."},
        "instance": TEXT | {"description": "The request id, as in `x-request-id`."},
    },
    "example": {
        "type": "urn:penstock:error:api.key_not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "This project has no such API key.",
        "code": "api.key_not_found",
        "instance": "01936f3e-8f2a-7c31-9d2e-5b8f6a1c0d4e",
    },
}
OPTIONAL_TEXT = {"type": ["string", "null"]}
OPENAI_ERROR = {
    "type": "object",
    "title": "Error object of OpenAI",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": TEXT, "type": TEXT, "param": OPTIONAL_TEXT, "code": OPTIONAL_TEXT},
        }
    },
    "example": error_object(
        Failure("api.model_not_found", Fault.MISSING, "The model 'gpt-9' does not exist; GET /v1/models lists all."),
        "model",
    ),
}

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The errors of a native route."""
    return _errors(statuses, "application/problem+json", PROBLEM)


def openai_errors(*statuses: int) -> Responses:
    """The errors of a route that OpenAI's clients call."""
    return _errors(statuses, "application/json", OPENAI_ERROR)


def _errors(statuses: tuple[int, ...], media_type: str, schema: dict[str, Any]) -> Responses:
    meanings = {status: MEANING[status] for status in statuses} | {"default": "Any other error, in the same form."}
    return {s: {"description": text, "content": {media_type: {"schema": schema}}} for s, text in meanings.items()}
