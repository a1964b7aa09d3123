"""One connection to an engine: one exchange after the other, never two at once."""

import asyncio
from typing import Protocol, cast

import httptools

from penstock_inference.adapters.engines.http.exchange import Exchange
from penstock_inference.domain.errors import EngineCut, EngineGarbled

HEAD_BYTES = 64 * 1024  # of the head of an answer
NO_HTTP = "the model's engine does not speak HTTP as it should"
CLOSED = "the model's engine closed the connection before its answer was complete"


class Shelf(Protocol):
    """Where connections wait for their next request."""

    def keep(self, line: "Line") -> None:
        """It may carry another request."""

    def drop(self, line: "Line") -> None:
        """It carries none any more."""


class Line(asyncio.Protocol):
    """Reads answers by llhttp. Bytes that nobody asked for end the connection: they would answer the next request."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )  # what small engines get wrong, and cannot be misread
        self._exchange: Exchange | None = None
        self._headers: dict[str, str] = {}
        self._head_bytes = self._unread_bytes = 0
        """Of the head's lines so far, and of all that came before it was whole."""
        self._is_headed = self._is_held = self._is_reusable = self._is_stray = False
        self.is_open = False

    def send(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Ask."""
        self._exchange = exchange
        self._head_bytes = self._unread_bytes = 0
        self._is_headed = False
        exchange.carried_by(self)
        if self.is_open:
            self._transport.write(head + body)
        else:  # it was lost before it could be used
            exchange.fail(EngineCut(CLOSED))

    def hold(self) -> None:
        """Read no more from the engine for now."""
        if not self._is_held and self.is_open:
            self._is_held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read on."""
        if self._is_held and self.is_open:
            self._is_held = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection at once, and with it what it carries."""
        if self._exchange:
            self._exchange.fail(EngineCut(CLOSED))
        self.is_open, self._exchange = False, None
        self._shelf.drop(self)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Take what the engine says."""
        if self._exchange is None:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
            return
        if self._is_stray:
            self.abort()
        elif not self._is_headed:
            self._unread_bytes += len(data)
            if self._unread_bytes > HEAD_BYTES:
                self._break()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; a body of no announced length ends so."""
        self.is_open = False
        self._shelf.drop(self)
        if (exchange := self._exchange) is None:
            return
        self._exchange = None
        if self._is_headed and exc is None and not is_framed(self._headers):
            exchange.finish()
        else:
            exchange.fail(EngineCut(CLOSED))

    def on_message_begin(self) -> None:
        """Another answer, perhaps to nothing."""
        self._headers = {}
        self._is_stray = self._exchange is None

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("the head is too long")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is whole; those of interim answers are of no interest."""
        status = self._parser.get_status_code()
        if status >= 200 and self._exchange:
            self._is_headed, self._is_reusable = True, self._parser.should_keep_alive()
            self._exchange.head(status, self._headers)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._exchange:
            self._exchange.feed(data)

    def on_message_complete(self) -> None:
        """The answer is whole, and the connection free."""
        exchange = self._exchange
        if exchange is None or not self._is_headed:
            return
        self._exchange = None
        exchange.finish()
        self.go_on()
        if self._is_reusable and self.is_open and not self._transport.get_write_buffer_size():
            self._shelf.keep(self)
        else:
            self._transport.close()

    def _break(self) -> None:
        """What came is no HTTP."""
        if exchange := self._exchange:
            exchange.fail(EngineCut(CLOSED) if self._is_headed else EngineGarbled(NO_HTTP))
        self.abort()


def is_framed(headers: dict[str, str]) -> bool:
    """Whether the end of a body can be told without the end of its connection."""
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
