"""Requests to engines: connections kept for the next one, bounded in time, blind to the machine's proxy settings."""

import asyncio
import functools
import socket
import ssl
import time
from dataclasses import dataclass

from aiohappyeyeballs import start_connection
from yarl import URL

from penstock_inference.adapters.engines.http.exchange import Exchange
from penstock_inference.adapters.engines.http.line import Line
from penstock_inference.adapters.engines.http.resolver import found
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.engines.watch import Watch
from penstock_inference.domain.errors import EngineCut, EngineTimedOut, EngineUnreachable
from penstock_inference.generating.timers import Timers

KEEP_ALIVE_SECONDS = 4.0  # below uvicorn's and llama.cpp's 5 s, so that they don't close what is about to be used
STALE_SECONDS = 1.0  # within which a connection that the engine closed before shows that it is of no use
EYEBALLS_SECONDS = 0.25  # before a host's next address is tried beside the last one (RFC 8305)
TARGETS = 1024
# Nothing is unpacked, so that no small answer can become a large one.
ALWAYS = "User-Agent: penstock\r\nAccept: */*\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens."""

    host: str
    port: int
    is_tls: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A method and a URL, as they are said."""

    address: Address
    head: bytes
    """The head of a request up to its own lines."""


class EngineHttp:
    """The connections of one process to its engines."""

    def __init__(self, times: EngineTimes, timers: Timers | None = None) -> None:
        self.times, self.timers = times, timers or Timers()
        self._idle: dict[Address, dict[Line, float]] = {}
        """Since when each is idle, the latest last."""
        self._places: dict[Line, Address] = {}
        self._is_sweeping = False

    async def post(self, url: str, body: bytes, headers: dict[str, str], watch: Watch) -> Exchange:
        """Ask; the exchange once its head is there. Raises what the way there and the engine's silence are."""
        return await self.ask(target_of("POST", url), body, headers, watch)

    async def ask(self, target: Target, body: bytes, headers: dict[str, str], watch: Watch) -> Exchange:
        """The same for any target. A kept connection may be closed already (llama.cpp does so after each stream)."""
        head = target.head + lines_of(headers, len(body))
        while True:
            line, sent = self._kept(target.address), time.monotonic()
            is_kept, exchange = line is not None, Exchange()
            line = line or await self._connected(target.address, watch)
            watch.over(exchange)
            line.send(exchange, head, body)
            try:
                await exchange.answered()
            except EngineCut:
                if not is_kept or time.monotonic() - sent > STALE_SECONDS:
                    raise
            except BaseException:
                exchange.close()
                raise
            else:
                return exchange

    async def close(self) -> None:
        """End all connections."""
        for line in list(self._places):
            line.abort()

    def keep(self, line: Line) -> None:
        """A connection may carry another request."""
        loop = asyncio.get_running_loop()
        self._idle.setdefault(self._places[line], {})[line] = loop.time()
        if not self._is_sweeping:
            self._is_sweeping = True
            self.timers.alarms.set(loop.time() + KEEP_ALIVE_SECONDS, self._sweep)

    def drop(self, line: Line) -> None:
        """A connection carries none any more."""
        address = self._places.pop(line, None)
        if address is not None and (idle := self._idle.get(address)):
            idle.pop(line, None)

    def _kept(self, address: Address) -> Line | None:
        """The connection that was used last, if it is not too old."""
        idle = self._idle.get(address)
        if not idle:
            return None
        line, since = idle.popitem()
        if asyncio.get_running_loop().time() - since < KEEP_ALIVE_SECONDS:
            return line
        line.abort()
        return None

    def _sweep(self) -> None:
        """Close what was not used for long, and look again while there is anything."""
        oldest = asyncio.get_running_loop().time() - KEEP_ALIVE_SECONDS
        for idle in list(self._idle.values()):
            for line in [line for line, since in idle.items() if since <= oldest]:
                line.abort()
        self._idle = {address: idle for address, idle in self._idle.items() if idle}
        self._is_sweeping = bool(self._idle)
        if self._is_sweeping:
            self.timers.alarms.set(oldest + 2 * KEEP_ALIVE_SECONDS, self._sweep)

    async def _connected(self, address: Address, watch: Watch) -> Line:
        """A new connection, within the time for it and the patience that is left."""
        try:
            async with asyncio.timeout_at(watch.until):
                return await self._connect_in_time(address)
        except TimeoutError as error:
            raise watch.ran_out() from error

    async def _connect_in_time(self, address: Address) -> Line:
        seconds = self.times.connect
        try:
            async with asyncio.timeout(seconds):
                return await self._connect(address)
        except TimeoutError as error:
            raise EngineTimedOut(f"the model's engine did not take the connection within {seconds:g} s") from error
        except OSError as error:  # also what TLS finds wrong
            raise EngineUnreachable from error

    async def _connect(self, address: Address) -> Line:
        """To whichever address of the host answers first. Raises OSError."""
        loop = asyncio.get_running_loop()
        connection = await start_connection(
            await found(address.host, address.port), happy_eyeballs_delay=EYEBALLS_SECONDS, interleave=1
        )
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls, name = (trusted(), address.host) if address.is_tls else (None, None)
        _, line = await loop.create_connection(lambda: Line(self), sock=connection, ssl=tls, server_hostname=name)
        if line.is_open:
            self._places[line] = address
        return line


@functools.cache
def trusted() -> ssl.SSLContext:
    """Whom this machine trusts."""
    return ssl.create_default_context()


@functools.lru_cache(TARGETS)
def target_of(method: str, url: str) -> Target:
    """A URL, read once. Raises EngineUnreachable for what is none."""
    try:
        parsed = URL(url)
        address = Address(parsed.raw_host or "", parsed.port or 0, parsed.scheme == "https")
    except ValueError as error:
        raise EngineUnreachable from error
    if parsed.scheme not in ("http", "https") or not address.host or not address.port:
        raise EngineUnreachable
    head = f"{method} {parsed.raw_path_qs} HTTP/1.1\r\nHost: {parsed.host_port_subcomponent}\r\n{ALWAYS}"
    return Target(address, head.encode("ascii"))


def lines_of(headers: dict[str, str], length: int) -> bytes:
    """A request's own lines, and the end of its head. Raises ValueError for what would be more than a line."""
    lines = f"Content-Length: {length}\r\n"
    for name, value in headers.items():
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"a line break in the header {name}")
        lines += f"{name}: {value}\r\n"
    return f"{lines}\r\n".encode()
