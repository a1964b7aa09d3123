"""The HTTP side of one answer: what was sent so far decides how a failure is told."""

import asyncio
from uuid import UUID

from starlette.responses import Response
from starlette.types import Receive, Scope

from penstock_api import metrics
from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import GenerationFailed, SlowReader, failure_of
from penstock_api.domain.openai_format import failure_event
from penstock_api.routes.body import drain
from penstock_api.routes.http_errors import error_response
from penstock_common.http_exchange import CHUNKED, EXCHANGE, Exchange

CLIENT_LEFT = 499  # no status of HTTP; what others count such requests under
JSON_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n"
STREAM_HEAD = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n" + CHUNKED
)
REPLAYED = b"idempotent-replayed: true\r\n"


class Reply:
    """Sends one response, and counts it. Everything that sends raises SlowReader for a client that makes no room."""

    def __init__(self, scope: Scope, receive: Receive, slow_seconds: float) -> None:
        self.exchange: Exchange = scope["extensions"][EXCHANGE]
        self.request_id: UUID = scope["state"]["request_id"]
        self.name: str = scope["state"]["name"]
        """The request's id as text."""
        self.model = metrics.NO_MODEL
        """The metrics label: a name of the catalogue."""
        self.slow_seconds = slow_seconds
        self._receive, self._path, self._state = receive, scope["path"], scope["state"]
        self._began = asyncio.get_running_loop().time()
        self._answer: Answer | None = None
        self._marks = b""

    def answers(self, request_id: UUID, *, repeated: bool) -> None:
        """Speak of this request: the one of before, where it is asked for once more."""
        if request_id != self.request_id:
            self.request_id = self._state["request_id"] = request_id
            self.name = self._state["name"] = str(request_id)
        if repeated:
            self._marks = REPLAYED

    async def whole(self, body: bytes) -> None:
        """Send a JSON body."""
        self.count(200)
        await self._send(200, JSON_HEAD % len(body), body)
        self.exchange.finish()

    async def nothing(self) -> None:
        """Say that there is nothing more: a client that reconnects by itself stops at that."""
        self.count(204)
        await self._send(204, b"")
        self.exchange.finish()

    @property
    def is_streaming(self) -> bool:
        """Whether the status of a stream was sent."""
        return self._answer is not None

    async def begin_stream(self, answer: Answer) -> None:
        """Send the status of a stream: from here on failures are events."""
        metrics.FIRST_CHUNK.observe(asyncio.get_running_loop().time() - self._began)
        self._answer = answer
        await self._send(200, STREAM_HEAD)

    async def stream(self, events: bytes) -> None:
        """Send events; returns when the client's reading made room for more."""
        if self.exchange.is_full:
            await self._room()
        self.exchange.chunk(events)

    async def end_stream(self, events: bytes) -> None:
        """Send the last events."""
        self.count(200)
        if self.exchange.is_full:
            await self._room()
        self.exchange.chunk(events, is_last=True)
        self.exchange.finish()

    async def fail(self, error: BaseException) -> None:
        """Tell of a failure: by status where nothing was sent yet, else by an event without an end mark."""
        if self._answer is not None:
            metrics.FAILED_STREAMS.labels(self.model).inc()
            if isinstance(error, GenerationFailed):  # the answer's own end; any other may be this process's alone
                self._answer.tell_end()
            await self.end_stream(failure_event(failure_of(error), self._answer.position()))
            return
        response = self._refusal(error)
        await self._send(response.status_code, lines_of(response), bytes(response.body))
        self.exchange.finish()

    async def refuse(self, error: BaseException) -> None:
        """Tell of a failure to a client that may still be sending its body.

        It would take a closed connection for a network failure: the answer goes out first, and what still comes is
        thrown away for a moment.
        """
        response = self._refusal(error)
        await self._send(response.status_code, lines_of(response), bytes(response.body), keep_alive=False)
        await drain(self._receive)
        self.exchange.finish()

    def count(self, status: int) -> None:
        """Count the response."""
        metrics.requests_of(self.model, str(status)).inc()

    def _refusal(self, error: BaseException) -> Response:
        response = error_response(error, self._path, self.name)
        self.count(response.status_code)
        return response

    async def _send(self, status: int, head: bytes, body: bytes = b"", *, keep_alive: bool = True) -> None:
        self._state["status"] = status
        name = b"x-request-id: %b\r\n" % self.name.encode()
        if self.exchange.is_full:
            await self._room()
        self.exchange.start(status, head + name + self._marks, body, keep_alive=keep_alive)

    async def _room(self) -> None:
        try:
            async with asyncio.timeout(self.slow_seconds):
                await self.exchange.room()
        except TimeoutError as error:
            raise SlowReader from error


async def tell(scope: Scope, status: int, body: bytes, lines: bytes = b"") -> None:
    """Answer at once with a JSON body; `lines` are headers, each with its end."""
    state, exchange = scope["state"], scope["extensions"][EXCHANGE]
    state["status"] = status
    if exchange.is_full:
        await exchange.room()
    head = b"x-request-id: %b\r\n" % state["name"].encode()
    exchange.start(status, lines + head + JSON_HEAD % len(body), body)
    exchange.finish()


def lines_of(response: Response) -> bytes:
    """The headers of a response as they are sent."""
    return b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
