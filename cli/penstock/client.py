"""Calls of the running platform's HTTP API with the operator's key; every failure becomes a sentence."""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, ClassVar

import httpx

from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import State, running
from penstock_common.errors import Fault

TIMEOUT = 10.0  # seconds
EVENT_SECONDS = 40.0  # an open stream is never silent for longer


class ApiUnreachable(PlatformError):
    """The platform's API does not answer."""

    code = "cli.api_unreachable"
    fault = Fault.UNAVAILABLE


class ApiRefused(PlatformError):
    """The platform's API refused the call."""

    code = "cli.api_refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One connection; use it as a context manager."""

    media_type: ClassVar[str] = "application/json"

    def __init__(self, state: State) -> None:
        self._http = httpx.Client(
            base_url=state.base_url,
            headers={"authorization": f"Bearer {state.admin_key}", "accept": self.media_type},
            timeout=TIMEOUT,
            trust_env=False,  # proxies are for the world outside
        )

    @classmethod
    def of(cls, folder: DataFolder) -> "Client":
        """For the platform that runs on a data folder. Raises NotRunning."""
        return cls(running(folder))

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def base_url(self) -> str:
        """Where the platform's API is reached on this machine, without a slash at the end."""
        return str(self._http.base_url).rstrip("/")

    def get(self, path: str, **query: str | None) -> Any:
        """The decoded answer. Raises ApiUnreachable, ApiRefused."""
        return self._call("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        """As `get`, with a JSON body."""
        return self._call("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Any) -> Any:
        """As `post`."""
        return self._call("PUT", path, json=body)

    def events(self, path: str, after: int) -> Iterator[dict[str, Any]]:
        """Server-sent events after an id: `id`, `event` and the decoded `data` of each. Raises as `get` does."""
        query, patience = {"after": str(after)}, httpx.Timeout(TIMEOUT, read=EVENT_SECONDS)
        try:
            with self._http.stream("GET", path, params=query, timeout=patience) as answer:
                if answer.is_error:
                    answer.read()
                    raise ApiRefused(explained(answer.json(), answer.status_code), answer.status_code)
                yield from _events_of(answer.iter_lines())
        except (httpx.HTTPError, ValueError) as error:
            raise ApiUnreachable(f"{self._http.base_url} broke off ({error or type(error).__name__}).") from error

    def upload(self, path: str, name: str, content: bytes) -> Any:
        """As `get`, with a document as it is."""
        return self._call("POST", path, params={"name": name}, content=content)

    def delete(self, path: str) -> Any:
        """As `get`."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **given: Any) -> Any:
        try:
            answer = self._http.request(method, path, **given)
            content = answer.json() if answer.content else None
        except (httpx.HTTPError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ApiUnreachable(
                f"{self._http.base_url} does not answer as it should ({reason}). See: penstock status"
            ) from error
        if answer.is_error:
            raise ApiRefused(explained(content, answer.status_code), answer.status_code)
        return content


def _events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line and event:
            yield {**event, "data": json.loads(event["data"])}
            event = {}
        elif name in ("id", "event", "data"):
            event[name] = value


def explained(content: Any, status: int) -> str:
    """What a problem document (RFC 9457) or an OpenAI error object says, else the status."""
    problem = content if isinstance(content, dict) else {}
    error = problem.get("error")
    said = error.get("message") if isinstance(error, dict) else problem.get("detail") or problem.get("title")
    return str(said) if said else f"The platform answered with status {status}."
