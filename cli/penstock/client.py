"""Calls of the running platform's HTTP API with the operator's key; every failure becomes a sentence."""

from types import TracebackType
from typing import Any, ClassVar

import httpx

from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import State, running
from penstock_common.errors import Fault

TIMEOUT = 10.0  # seconds


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

    def get(self, path: str, **query: str | None) -> Any:
        """The decoded answer. Raises ApiUnreachable, ApiRefused."""
        return self._call("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Any) -> Any:
        """As `get`, with a JSON body."""
        return self._call("POST", path, json=body)

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


def explained(content: Any, status: int) -> str:
    """What a problem document (RFC 9457) or an OpenAI error object says, else the status."""
    problem = content if isinstance(content, dict) else {}
    error = problem.get("error")
    said = error.get("message") if isinstance(error, dict) else problem.get("detail") or problem.get("title")
    return str(said) if said else f"The platform answered with status {status}."
