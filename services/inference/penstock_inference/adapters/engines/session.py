"""The HTTP session to engines: pooled, bounded in time, blind to the machine's proxy settings."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from penstock_inference.domain.errors import (
    EngineCut,
    EngineGarbled,
    EngineTimedOut,
    EngineUnreachable,
)

CUT = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientOSError,
    RuntimeError,  # so aiohttp says that somebody reads from a closed connection
)
KEEP_ALIVE_SECONDS = 4.0  # below uvicorn's and llama.cpp's 5 s, so that they don't close what is about to be used


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """How long to wait for an engine, in seconds. The request's deadline bounds all of it."""

    connect: float = 5.0
    first_token: float = 60.0
    between_tokens: float = 30.0


@dataclass(slots=True)
class Connection:
    """The connection of one request; its `trace_request_ctx`."""

    kept: bool = False
    """Whether it was kept from an earlier request: the engine may have closed it meanwhile, without a word."""


class GuardedResolver(AbstractResolver):
    """Resolves names as usual, and refuses link-local addresses, where clouds keep their machines' credentials."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host. Raises OSError where one is link-local."""
        found = await self._inner.resolve(host, port, family)
        if any(ipaddress.ip_address(address["host"].partition("%")[0]).is_link_local for address in found):
            raise OSError(f"{host} is a link-local address, which no engine may have")
        return found

    async def close(self) -> None:
        """Nothing to release."""
        await self._inner.close()


class CleanRequest(aiohttp.ClientRequest):
    """Goes out on a clean connection only.

    What came on a kept one since its last answer would be taken for the answer to this request.
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Send it. Raises ServerDisconnectedError where the connection is of no use."""
        if conn.protocol is None or conn.protocol.should_close:
            raise aiohttp.ServerDisconnectedError
        return await super().send(conn)


@contextmanager
def ended_with_connection(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Have a body end when its connection does: over bytes that are no HTTP, aiohttp closes it and tells no reader."""
    connection, content = response.connection, response.content
    protocol = None if connection is None else connection.protocol
    closed = None if protocol is None else protocol.closed

    def end(closed: "asyncio.Future[None]") -> None:
        error = closed.exception()
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError(str(error or "the connection was closed")))

    if closed is not None:
        closed.add_done_callback(end)
    try:
        yield
    finally:
        if closed is not None:
            closed.remove_done_callback(end)


def make_session(times: EngineTimes) -> aiohttp.ClientSession:
    """A session without cookies, proxies and a limit of connections. To be made inside of a running loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, resolver=GuardedResolver()),
        timeout=aiohttp.ClientTimeout(total=None, connect=times.connect),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Nothing is unpacked, so that no small answer can become a large one.
        headers={"User-Agent": "penstock", "Content-Type": "application/json", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
        trace_configs=[_noting_kept()],
        request_class=CleanRequest,
    )


def _noting_kept() -> aiohttp.TraceConfig:
    async def note(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        if isinstance(context.trace_request_ctx, Connection):
            context.trace_request_ctx.kept = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(note)
    return trace


@contextmanager
def translated(times: EngineTimes) -> Iterator[None]:
    """Raise our errors in place of the HTTP client's."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise EngineTimedOut(f"the model's engine did not take the connection within {times.connect:g} s") from error
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise EngineUnreachable from error
    except CUT as error:
        raise EngineCut("the model's engine closed the connection before its answer was complete") from error
    except aiohttp.ClientError as error:
        raise EngineGarbled("the model's engine does not speak HTTP as it should") from error
