"""The HTTP side of one chat completion: what was sent so far decides how a failure is told."""

import asyncio
from uuid import UUID

from starlette.types import Receive, Scope, Send

from penstock_api import metrics
from penstock_api.domain.answer import Answer
from penstock_api.domain.errors import GenerationFailed, failure_of
from penstock_api.domain.openai_format import failure_event
from penstock_api.routes.body import refuse
from penstock_api.routes.http_errors import error_response

CLIENT_LEFT = 499  # no status of HTTP; what others count such requests under
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Reply:
    """Sends one response, and counts it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_id: UUID = scope["state"]["request_id"]
        self.model = metrics.NO_MODEL
        """The metrics label: a name of the catalogue."""
        self._receive, self._send, self._path = receive, send, scope["path"]
        self._began = asyncio.get_running_loop().time()
        self._answer: Answer | None = None
        self._state = scope["state"]
        self._marks: list[tuple[bytes, bytes]] = []

    def answers(self, request_id: UUID, *, repeated: bool) -> None:
        """Speak of this request: the one of before, where it is asked for once more."""
        self.request_id = self._state["request_id"] = request_id
        if repeated:
            self._marks = [(b"idempotent-replayed", b"true")]

    async def whole(self, body: bytes) -> None:
        """Send a JSON body."""
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *self._marks]
        self.count(200)
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def nothing(self) -> None:
        """Say that there is nothing more: a client that reconnects by itself stops at that."""
        self.count(204)
        await self._send({"type": "http.response.start", "status": 204, "headers": self._marks})
        await self._send({"type": "http.response.body"})

    @property
    def is_streaming(self) -> bool:
        """Whether the status of a stream was sent."""
        return self._answer is not None

    async def begin_stream(self, answer: Answer) -> None:
        """Send the status of a stream: from here on failures are events."""
        metrics.FIRST_CHUNK.observe(asyncio.get_running_loop().time() - self._began)
        self._answer = answer
        await self._send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, *self._marks]})

    async def stream(self, events: bytes) -> None:
        """Send events; returns when the client's reading made room for more."""
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end_stream(self, events: bytes) -> None:
        """Send the last events."""
        self.count(200)
        await self._send({"type": "http.response.body", "body": events})

    async def fail(self, error: BaseException) -> None:
        """Tell of a failure: by status where nothing was sent yet, else by an event without an end mark."""
        if self._answer is not None:
            metrics.FAILED_STREAMS.labels(self.model).inc()
            if isinstance(error, GenerationFailed):  # the answer's own end; any other may be this process's alone
                self._answer.tell_end()
            await self.end_stream(failure_event(failure_of(error), self._answer.position()))
            return
        response = error_response(error, self._path, str(self.request_id))
        self.count(response.status_code)
        await self._send(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await self._send({"type": "http.response.body", "body": response.body})

    async def refuse(self, error: BaseException) -> None:
        """Tell of a failure to a client that may still be sending its body."""
        response = error_response(error, self._path, str(self.request_id))
        self.count(response.status_code)
        await refuse(response, self._receive, self._send)

    def count(self, status: int) -> None:
        """Count the response."""
        metrics.REQUESTS.labels(self.model, str(status)).inc()
