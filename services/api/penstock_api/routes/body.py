"""Reads request bodies that may be too large, too slow, or endless."""

import asyncio
import contextlib

from starlette.types import Message, Receive, Scope

from penstock_api.domain.errors import BodyTooLarge, BodyTooSlow, ClientLeft, InvalidRequest
from penstock_common.http_exchange import EXCHANGE, Exchange

MAX_BYTES = 6_000_000
GRACE_SECONDS = 10.0
BYTES_PER_SECOND = 64 * 1024  # a slower client than that is not waited for
DRAIN_BYTES = 64_000_000
DRAIN_SECONDS = 5.0


def header(scope: Scope, name: bytes) -> str | None:
    """The value of the first header of this (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


async def read_body(scope: Scope, receive: Receive, limit: int = MAX_BYTES) -> bytes:
    """The whole body. Raises BodyTooLarge, BodyTooSlow, InvalidRequest, ClientLeft."""
    exchange: Exchange | None = (scope.get("extensions") or {}).get(EXCHANGE)
    if exchange is not None and (here := exchange.body()) is not None:
        return _checked(here, limit)
    if _declared(scope) > limit:
        raise BodyTooLarge
    first = await _next(receive, GRACE_SECONDS)
    if not first.get("more_body"):
        return _checked(first.get("body", b""), limit)
    parts, size = [first.get("body", b"")], len(first.get("body", b""))
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        left = began + GRACE_SECONDS + size / BYTES_PER_SECOND - clock()
        message = await _next(receive, left)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge
        if not message.get("more_body"):
            return b"".join(parts)


async def drain(receive: Receive) -> None:
    """Throw away for a moment what still comes of a body that nobody wants."""
    drained = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while drained < DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


async def _next(receive: Receive, seconds: float) -> Message:
    try:
        async with asyncio.timeout(max(seconds, 0)):
            message = await receive()
    except TimeoutError as error:
        raise BodyTooSlow from error
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message


def _declared(scope: Scope) -> int:
    length = header(scope, b"content-length")
    if length is None:
        return 0
    if not length.isascii() or not length.isdigit():
        raise InvalidRequest("The header content-length must be a number of bytes.")
    return int(length)


def _checked(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise BodyTooLarge
    return body
