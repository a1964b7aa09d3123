"""The one translator of errors to HTTP: OpenAI's error object on /v1/*, problem details (RFC 9457) elsewhere."""

import math
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from penstock_api.domain.errors import InvalidRequest, failure_of, param_of
from penstock_api.domain.openai_format import error_object
from penstock_common.contracts.stream import Failure
from penstock_common.errors import Fault, PenstockError

log = structlog.get_logger()

OPENAI_PREFIX = "/v1/"

STATUS: dict[str, int] = {
    Fault.INVALID: 422,
    Fault.TOO_LARGE: 413,
    Fault.UNAUTHENTICATED: 401,
    Fault.FORBIDDEN: 403,
    Fault.MISSING: 404,
    Fault.CONFLICT: 409,
    Fault.LIMITED: 429,
    Fault.UNAVAILABLE: 503,
    Fault.TIMEOUT: 504,
}
OWN_STATUS = {
    "api.body_too_slow": 408,
    "api.headers_too_large": 431,
    "api.delivery_id_missing": 400,
    "api.position_invalid": 400,
    "api.answer_unfinished": 409,
    "api.answer_gone": 410,
    "api.stream_expired": 410,
}
"""Codes for which HTTP has a status of its own."""

ROUTING = {
    404: Failure("api.route_not_found", Fault.MISSING, "There is no such route; see /docs for those that exist."),
    405: Failure("api.method_not_allowed", Fault.INVALID, "This route does not take this method; see /docs."),
}


def status_of(failure: Failure, path: str) -> int:
    """The HTTP status of a failure; 500 for what nobody foresaw."""
    if own := OWN_STATUS.get(failure.code):
        return own
    if failure.fault == Fault.INVALID and path.startswith(OPENAI_PREFIX):
        return 400
    return STATUS.get(failure.fault, 500)


def error_response(error: BaseException, path: str, request_id: str) -> JSONResponse:
    """An error as the response that its route promises."""
    failure = failure_of(error)
    return failure_response(failure, path, request_id, status=status_of(failure, path), param=param_of(error))


def failure_response(
    failure: Failure, path: str, request_id: str, *, status: int, param: str | None = None
) -> JSONResponse:
    """A failure as a response; `Retry-After` in whole seconds where trying again helps."""
    headers = {"retry-after": str(math.ceil(failure.retry_after))} if failure.retry_after else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"  # RFC 9110, 11.6.1
    if path.startswith(OPENAI_PREFIX):
        return JSONResponse(error_object(failure, param), status, headers)
    problem = {
        "type": f"urn:penstock:error:{failure.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": failure.message,
        "code": failure.code,
        "instance": request_id,
    }
    return JSONResponse(problem, status, headers, media_type="application/problem+json")


def request_id_of(request: Request) -> str:
    """The id that `Edge` gave to this request."""
    return str(request.scope["state"]["request_id"])


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of the application's routes speak one language."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        return error_response(error, request.url.path, request_id_of(request))

    async def crashed(request: Request, error: Exception) -> JSONResponse:
        log.error("request.crashed", path=request.url.path, request_id=request_id_of(request), exc_info=error)
        return await known(request, error)

    async def unrouted(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        failure = ROUTING.get(error.status_code) or Failure("api.http_error", "", str(error.detail))
        response = failure_response(failure, request.url.path, request_id_of(request), status=error.status_code)
        response.headers.update(error.headers or {})
        return response

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return await known(request, _invalid(error))

    app.add_exception_handler(PenstockError, known)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, crashed)


def _invalid(error: RequestValidationError) -> InvalidRequest:
    """FastAPI's findings as one sentence, each with its place."""
    found = [(".".join(str(part) for part in item["loc"][1:]), item["msg"]) for item in error.errors()]
    sentence = "; ".join(f"`{where}`: {what}" if where else what for where, what in found)
    return InvalidRequest(f"The request is not valid: {sentence}.", found[0][0] or None)
