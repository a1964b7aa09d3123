"""uvicorn's HTTP/1.1 parser with what it lacks: bounds on the head of a request and on what waits for its client."""

import asyncio
import contextlib
import math
import socket
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock_common.http_exchange import EXCHANGE, Exchange, Left

HEAD_BYTES = 128 * 1024  # of an unfinished head; a service may accept less of a finished one
HEAD_SECONDS = 10.0
UNSENT_BYTES = 64 * 1024  # that the kernel keeps for a client that does not read; else it is megabytes

TOO_LARGE = "431 Request Header Fields Too Large"
TOO_SLOW = "408 Request Timeout"


class BoundedHttp(HttpToolsProtocol):
    """Answers and closes where a head is endless or does not come.

    Whoever serves calls `end_late` now and then: one look at all connections instead of two timers a request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self.late_at = self.loop.time() + HEAD_SECONDS
        """When a head should be here, in the loop's time."""
        self._heads = self._head_bytes = 0
        self._in_head = self._ends_soon = False
        self._left: Left | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers."""
        super().connection_lost(exc)
        if self._left is not None:
            self._left()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to an unfinished head."""
        heads = self._heads
        super().data_received(data)
        if self._in_head and self._heads == heads:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        if self._heads:
            self.late_at = self.loop.time() + HEAD_SECONDS
        self._heads += 1
        self._head_bytes, self._in_head = 0, True

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._in_head, self.late_at = False, math.inf
        super().on_headers_complete()
        if self._ends_soon:
            self.cycle.keep_alive = False
        self.scope["extensions"] = {EXCHANGE: Exchange(self.cycle, self._watch)}  # type: ignore[dict-item]

    def on_response_complete(self) -> None:
        """Serve the request that came meanwhile, or wait for the next; uvicorn's own would make a timer for that."""
        self._left = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.late_at = self.loop.time() + (HEAD_SECONDS if self._in_head else self.timeout_keep_alive)

    def refuse(self, status: str) -> None:
        """Close, and say why to a client that has begun a head."""
        self.late_at = math.inf
        if self.cycle is not None and not self.cycle.response_complete:
            return  # what is written now would fall into the answer to the request before
        if self._in_head:
            self.transport.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()

    def end_soon(self) -> None:
        """Let the next response that begins be the last of this connection; it says so to the client."""
        self._ends_soon = True
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def _watch(self, left: Left) -> None:
        self._left = left


def end_late(connections: Iterable[object], now: float) -> None:
    """Close the connections whose next head is late."""
    for connection in list(connections):
        if isinstance(connection, BoundedHttp) and connection.late_at <= now:
            connection.refuse(TOO_SLOW)
