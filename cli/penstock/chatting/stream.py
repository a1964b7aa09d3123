"""Reads one streamed chat completion to its end, however often the connections break that bring it.

Needs httpx alone; to be copied into other clients. Each event has an id, which names what a client has once it has read
that event: whoever was cut reads on after it, at any replica, and gets each chunk once.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

ASK = "/v1/chat/completions"
REQUEST = "/api/v1/inference/{}"
PATIENCE = 30.0  # seconds without anything new
PAUSE = 0.3  # seconds before the next connection
LATER = (502, 503, 504)
EVENTS = {"accept": "text/event-stream"}


class StreamFailed(Exception):
    """The answer can't be had, or ended with an error. `status` is that of a refusal, else None."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Cut(httpx.TransportError):
    """We cut the connection ourselves."""


@dataclass
class Stream:
    """One request with `"stream": true` in its body, and where its reader is."""

    http: httpx.Client
    """With the platform's address and the key."""
    body: dict[str, Any]
    name: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Its `Idempotency-Key`: until the request's id is known, asking again is not asking twice."""
    cuts_after: Callable[[], int] | None = None
    """For trying it out: after how many lines a connection is cut, at least one event's."""
    request_id: str = ""
    last_id: str = ""
    connections: int = 0

    def chunks(self) -> Iterator[dict[str, Any]]:
        """Each chunk of the completion once, until `[DONE]`. Raises StreamFailed."""
        since = time.monotonic()
        while True:
            try:
                for chunk in self._connection():
                    since = time.monotonic()
                    yield chunk
                return
            except (httpx.TransportError, StreamFailed) as error:
                self._require_hope(error, time.monotonic() - since)
                time.sleep(0 if isinstance(error, Cut) else PAUSE)

    def stop(self) -> None:
        """End the generation for good, wherever it runs; `chunks` then gives what there is, and the end."""
        if not self.request_id:
            with self._asked() as response:
                self._take_head(response)
        answer = self.http.delete(REQUEST.format(self.request_id))
        if answer.is_error:
            raise StreamFailed(explained(answer), answer.status_code)

    def _require_hope(self, error: httpx.TransportError | StreamFailed, seconds: float) -> None:
        """Raise what the error means where another connection is of no use."""
        is_over = seconds > PATIENCE
        if isinstance(error, StreamFailed):
            is_unread = error.status == httpx.codes.NOT_FOUND and self.request_id and not self.last_id
            if is_over or self.connections == 1 or not (is_unread or error.status in LATER):
                raise error
            if is_unread:  # whoever took the request died before anybody else knew of it
                self.request_id = ""
        elif is_over or (self.connections == 1 and isinstance(error, httpx.ConnectError)):
            reason = str(error) or type(error).__name__
            raise StreamFailed(f"The connection was lost and does not come back ({reason}).") from error

    def _asked(self) -> AbstractContextManager[httpx.Response]:
        headers = EVENTS | {"idempotency-key": self.name, "x-penstock-on-disconnect": "continue"}
        return self.http.stream("POST", ASK, json=self.body | {"stream": True}, headers=headers)

    def _resumed(self) -> AbstractContextManager[httpx.Response]:
        headers = EVENTS | ({"last-event-id": self.last_id} if self.last_id else {})
        return self.http.stream("GET", REQUEST.format(self.request_id) + "/stream", headers=headers)

    def _connection(self) -> Iterator[dict[str, Any]]:
        """What one connection brings. Raises httpx.TransportError and StreamFailed."""
        self.connections += 1
        with self._resumed() if self.request_id else self._asked() as response:
            self._take_head(response)
            if response.status_code != httpx.codes.NO_CONTENT:  # else all of it was read before
                yield from self._chunks_of(response)

    def _take_head(self, response: httpx.Response) -> None:
        if response.is_error:
            response.read()
            raise StreamFailed(explained(response), response.status_code)
        self.request_id = response.headers["x-request-id"]

    def _chunks_of(self, response: httpx.Response) -> Iterator[dict[str, Any]]:
        for id_, data in self._events_of(response):
            self.last_id = id_
            if data == b"[DONE]":
                return
            chunk = json.loads(data)
            if "error" in chunk:
                raise StreamFailed(chunk["error"]["message"])
            yield chunk
        raise httpx.RemoteProtocolError("the stream ended without its end mark")

    def _events_of(self, response: httpx.Response) -> Iterator[tuple[str, bytes]]:
        """(id, data) of each event that came whole."""
        left = self.cuts_after() if self.cuts_after else None
        event: dict[bytes, bytes] = {}
        for number, line in enumerate(lines_of(response), 1):
            name, _, value = line.partition(b": ")
            if not line and b"data" in event:
                yield event.get(b"id", b"").decode(), event[b"data"]
                event = {}
            elif name in (b"id", b"data"):
                event[name] = value
            if left is not None and number >= left:
                raise Cut("cut on purpose")


def lines_of(response: httpx.Response) -> Iterator[bytes]:
    """Split at line feeds alone: httpx would also split at separators that stand inside of a text."""
    rest = b""
    for data in response.iter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def explained(response: httpx.Response) -> str:
    """What an OpenAI error object or a problem document (RFC 9457) says, else the status."""
    try:
        said = response.json()
        return str(said["error"]["message"] if "error" in said else said["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The platform answered with status {response.status_code}."
