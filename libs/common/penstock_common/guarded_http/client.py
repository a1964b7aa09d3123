"""One guarded call: the address that was checked is the one connected to, at every redirect anew."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from yarl import URL

from penstock_common.guarded_http.errors import (
    AddressRefused,
    ToolAnswerRefused,
    ToolAnswerTooLarge,
    ToolCallInvalid,
    ToolTooSlow,
    ToolUnreachable,
)
from penstock_common.guarded_http.policy import Policy
from penstock_common.messaging.envelope import CONTEXT, TRACEPARENT

MAX_ANSWER = 1 << 20  # bytes
MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110 §5.6.2
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "accept-encoding"})
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEEPING_METHOD = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A call to be made."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    follow: bool = True
    """Whether redirects are followed."""
    reads_body: bool = True
    """Whether the answer's body is read, where its status says enough."""


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class GuardedHttp:
    """Makes calls. Nothing is kept between two of them: no connection, cookie or cached name."""

    def __init__(self, policy: Policy, *, max_answer: int = MAX_ANSWER) -> None:
        self.policy, self.max_answer = policy, max_answer

    async def call(self, request: ToolRequest, seconds: float) -> ToolReply:
        """The answer, whatever its status, within so many seconds.

        Raises AddressRefused, ToolCallInvalid, ToolUnreachable, ToolTooSlow, ToolAnswerTooLarge, ToolAnswerRefused.
        """
        check_headers(request.headers)
        try:
            async with asyncio.timeout(seconds):
                return await self._followed(request)
        except TimeoutError as error:
            raise ToolTooSlow(f"{_shown(request.url)} did not answer within {seconds:g} s") from error

    async def _followed(self, request: ToolRequest) -> ToolReply:
        for _ in range(MAX_REDIRECTS + 1):
            reply, target = await self._once(request)
            if target is None:
                return reply
            request = _redirected(request, reply.status, target)
        raise ToolAnswerRefused(f"{_shown(request.url)} redirects more than {MAX_REDIRECTS} times")

    async def _once(self, request: ToolRequest) -> tuple[ToolReply, URL | None]:
        url = checked_url(request.url)
        async with self._session(url) as session, self._answer(session, request, url) as answer:
            location = answer.headers.get("location")
            if request.follow and answer.status in REDIRECTS and location:
                return ToolReply(answer.status, {}, b""), _target(url, location)
            body = b"" if request.method == "HEAD" or not request.reads_body else await self._read(answer)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return ToolReply(answer.status, headers, body), None

    @asynccontextmanager
    async def _session(self, url: URL) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(
            force_close=True, use_dns_cache=False, resolver=aiohttp.ThreadedResolver(), socket_factory=self._door(url)
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing is unpacked, so that no small answer can become a large one.
            headers={"User-Agent": "penstock", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield session

    def _door(self, url: URL) -> Any:
        """Opens sockets to permitted addresses alone: asked with the very address that is connected to."""
        host = url.host or ""

        def opened(info: Any) -> socket.socket:
            family, kind, protocol, _, address = info
            if not self.policy.permits(host, address[0]):
                raise AddressRefused(f"{host} is not at a public address; the operator may allow it to be called")
            return socket.socket(family, kind, protocol)

        return opened

    @asynccontextmanager
    async def _answer(
        self, session: aiohttp.ClientSession, request: ToolRequest, url: URL
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with session.request(
                request.method, url, headers=self._headers(request, url), data=request.body, allow_redirects=False
            ) as answer:
                yield answer
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise ToolUnreachable(f"{_shown(request.url)} can't be reached: {_reason(error)}") from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError) as error:
            raise ToolUnreachable(f"{_shown(request.url)} closed the connection before its answer was there") from error
        except aiohttp.InvalidURL as error:
            raise ToolCallInvalid(f"{_shown(request.url)} is not a URL") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise ToolAnswerRefused(f"{_shown(request.url)} does not speak HTTP as it should") from error

    def _headers(self, request: ToolRequest, url: URL) -> Mapping[str, str]:
        """Those of the request; hosts that the operator named hear of the trace too, strangers learn nothing of it."""
        parent = CONTEXT.get().traceparent
        if not parent or not self.policy.names(url.host or "") or TRACEPARENT in map(str.lower, request.headers):
            return request.headers
        return {**request.headers, TRACEPARENT: parent}

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise ToolAnswerRefused("the tool's answer is compressed although that was not asked for")
        parts, size = [], 0
        async for part in answer.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self.max_answer:
                raise ToolAnswerTooLarge(f"the tool's answer is larger than {self.max_answer} bytes; ask it for less")
        return b"".join(parts)


def checked_url(text: str) -> URL:
    """The URL of a call. Raises ToolCallInvalid."""
    if not text.isprintable() or " " in text:
        raise ToolCallInvalid(f"{_shown(text)} is not a URL: it holds spaces or control characters")
    try:
        url = URL(text)
    except ValueError as error:
        raise ToolCallInvalid(f"{_shown(text)} is not a URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ToolCallInvalid(f"{_shown(text)} must begin with http:// or https://, followed by a host")
    if url.user is not None or url.password is not None:
        raise ToolCallInvalid("a tool's URL must not hold credentials; send them in a header")
    return url


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ToolCallInvalid where a header would change what the call is."""
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
            raise ToolCallInvalid(f"the header {_shown(name)} can't be set")
        if not all(char == "\t" or (" " <= char <= "\xff" and char != "\x7f") for char in value):
            raise ToolCallInvalid(f"the value of the header {_shown(name)} holds control or non-Latin characters")


def _redirected(request: ToolRequest, status: int, target: URL) -> ToolRequest:
    """As browsers do: after 301 to 303 a GET without a body; credentials stay with the origin they were meant for."""
    if URL(request.url).origin() != target.origin():
        kept = {name: value for name, value in request.headers.items() if name.lower() not in CREDENTIALS}
        request = replace(request, headers=kept)
    if status in KEEPING_METHOD or request.method in ("GET", "HEAD"):
        return replace(request, url=str(target))
    return replace(request, url=str(target), method="GET", body=None)


def _target(url: URL, location: str) -> URL:
    try:
        return checked_url(str(url.join(URL(location))))
    except ValueError as error:
        raise ToolAnswerRefused("the tool redirects to what is not a URL") from error


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or error
    return str(inner.strerror or inner)[:200] if isinstance(inner, OSError) else "no connection within time"


def _shown(text: str) -> str:
    return repr(text[:200])
