"""uvicorn's HTTP/1.1 parser with what it lacks: bounds on the head of a request and on what waits for its client."""

import asyncio
import contextlib
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 128 * 1024  # of an unfinished head; a service may accept less of a finished one
HEAD_SECONDS = 10.0
UNSENT_BYTES = 64 * 1024  # that the kernel keeps for a client that does not read; else it is megabytes

ABORT = "penstock.abort"
"""The extension of an ASGI scope that cuts its connection at once: what was not sent yet is thrown away."""

TOO_LARGE = "431 Request Header Fields Too Large"
TOO_SLOW = "408 Request Timeout"


class BoundedHttp(HttpToolsProtocol):
    """Answers and closes where a head is endless or does not come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._timer: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to an unfinished head."""
        waited_for = self._timer
        super().data_received(data)
        if self._timer is not None and self._timer is waited_for:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]
        if self._timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._head_arrived()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, TOO_SLOW)

    def _head_arrived(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: str) -> None:
        self._head_arrived()
        if self.cycle is not None and not self.cycle.response_complete:
            return  # what is written now would fall into the answer to the request before
        if self._head_bytes:
            self.transport.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()
