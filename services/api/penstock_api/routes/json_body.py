"""Small JSON bodies of the native routes: bounded, unambiguous, and read only after the key was checked."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from penstock_api.domain.errors import BodyTooLarge, InvalidRequest
from penstock_api.domain.strict_json import parse
from penstock_api.routes.body import read_body

MAX_BYTES = 64 * 1024

B = TypeVar("B", bound=BaseModel)


def json_body(model: type[B]) -> Callable[[Request], Awaitable[B]]:
    """A dependency that gives the body. Raises BodyTooLarge, BodyTooSlow, InvalidRequest."""

    async def body(request: Request) -> B:
        try:
            raw = await read_body(request.scope, request.receive, MAX_BYTES)
        except BodyTooLarge as error:
            raise BodyTooLarge("The body is larger than 64 KiB; nothing that this route takes is.") from error
        parse(raw)
        try:
            return model.model_validate_json(raw, strict=True)
        except ValidationError as error:
            raise _invalid(error) from error

    return body


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads this body."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _invalid(error: ValidationError) -> InvalidRequest:
    found = [(".".join(str(part) for part in item["loc"]), item["msg"]) for item in error.errors()]
    sentence = "; ".join(f"`{where}`: {what}" if where else what for where, what in found)
    return InvalidRequest(f"The body is not valid: {sentence}.", found[0][0] or None)
