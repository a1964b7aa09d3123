"""One answer, whole whatever becomes of the connections that bring it.

The request has a name (`Idempotency-Key`), so that asking again is not asking twice: the answer comes once more from
its beginning, and what was told already is compared and left out.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx

from penstock.client import ApiRefused, explained
from penstock.platform.errors import PlatformError
from penstock.platform.state import State

PATH = "/v1/chat/completions"
PATIENCE = 30.0  # seconds without anything new
PAUSE = 0.3  # seconds before asking again
READ_SECONDS = 60.0
STOP_SECONDS = 3.0
LATER = (502, 503, 504)


class AnswerFailed(PlatformError):
    """The answer ended with an error."""

    code = "cli.answer_failed"


class AnswerDiffers(PlatformError):
    """The answer was generated again, and came out differently; what was shown is not its beginning."""

    code = "cli.answer_differs"

    def __init__(self) -> None:
        super().__init__(str(self.__doc__))


class _Cut(Exception):
    """We cut the connection ourselves."""


def client(state: State) -> httpx.Client:
    """Connections with the key for clients."""
    return httpx.Client(
        base_url=state.base_url,
        headers={"authorization": f"Bearer {state.api_key}", "content-type": "application/json"},
        timeout=httpx.Timeout(READ_SECONDS, connect=5.0),
        trust_env=False,
    )


@dataclass
class Answer:
    """Asks once, and again where it must; `text` is what was told so far."""

    http: httpx.Client
    model: str
    messages: list[dict[str, str]]
    cuts_after: Callable[[], int] | None = None
    """For `--flaky`: after how many new characters this connection is cut."""
    name: str = field(default_factory=lambda: f"chat-{uuid.uuid4()}")
    text: str = ""
    request_id: str = ""
    connections: int = 0
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    accept: ClassVar[str] = "text/event-stream"

    def pieces(self) -> Iterator[str]:
        """What is new, as it comes. Raises ApiRefused, AnswerFailed, AnswerDiffers."""
        since = time.monotonic()
        while True:
            try:
                for piece in self._connection():
                    since = time.monotonic()
                    yield piece
                return
            except _Cut:
                pass
            except (httpx.TransportError, ApiRefused) as error:
                self._may_ask_again(error, since)
                time.sleep(PAUSE)

    def stop(self) -> None:
        """End the generation: whoever asks for it last and leaves decides."""
        limits = httpx.Timeout(STOP_SECONDS)
        with suppress(httpx.HTTPError), self._asked("cancel", timeout=limits) as response:
            next(response.iter_raw(), None)

    def _may_ask_again(self, error: httpx.TransportError | ApiRefused, since: float) -> None:
        """Raise what the error means where asking again is of no use."""
        is_over = time.monotonic() - since > PATIENCE
        if isinstance(error, ApiRefused):
            if is_over or error.status not in LATER or self.connections == 1:
                raise error
        elif is_over or (self.connections == 1 and isinstance(error, httpx.ConnectError)):
            reason = str(error) or type(error).__name__
            raise AnswerFailed(f"The connection was lost and does not come back ({reason}). See: penstock status")

    def _asked(self, on_disconnect: str, **options: Any) -> Any:
        body = {"model": self.model, "messages": self.messages, "stream": True}
        usage = {"stream_options": {"include_usage": True}}
        headers = {"idempotency-key": self.name, "x-penstock-on-disconnect": on_disconnect, "accept": self.accept}
        content = json.dumps(body | usage).encode()  # the same bytes each time: another body would be another request
        return self.http.stream("POST", PATH, content=content, headers=headers, **options)

    def _connection(self) -> Iterator[str]:
        """What one connection brings that is new. Raises _Cut, httpx.TransportError and as `pieces`."""
        self.connections += 1
        left = self.cuts_after() if self.cuts_after else None
        place = 0
        with self._asked("continue") as response:
            if response.is_error:
                raise ApiRefused(_explained(response), response.status_code)
            self.request_id = response.headers.get("x-request-id", "")
            for piece in self._contents(response):
                known = self.text[place : place + len(piece)]
                if not piece.startswith(known):
                    raise AnswerDiffers
                place += len(piece)
                if new := piece[len(known) :][:left]:
                    self.text += new
                    yield new
                    left = None if left is None else left - len(new)
                if left == 0:
                    raise _Cut

    def _contents(self, response: httpx.Response) -> Iterator[str]:
        """The text in each event until `[DONE]`; raises RemoteProtocolError where that does not come."""
        for line in _lines(response):
            if not line.startswith(b"data:"):
                continue
            payload = line.removeprefix(b"data:").strip()
            if payload == b"[DONE]":
                return
            event = json.loads(payload)
            if "error" in event:
                raise AnswerFailed(explained(event, response.status_code))
            self.usage = event.get("usage") or self.usage
            for choice in event["choices"]:
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
                if content := choice["delta"].get("content"):
                    yield content
        raise httpx.RemoteProtocolError("the stream ended without its end mark")


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """Split at line feeds alone: httpx would also split at separators that stand inside of a text."""
    rest = b""
    for data in response.iter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def _explained(response: httpx.Response) -> str:
    try:
        return explained(json.loads(response.read()), response.status_code)
    except ValueError:
        return explained(None, response.status_code)
