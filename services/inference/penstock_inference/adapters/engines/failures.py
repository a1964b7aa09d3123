"""What an engine's refusals and errors mean."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock_common.errors import PenstockError
from penstock_inference.adapters.engines.chunks import Completion, is_given
from penstock_inference.domain.errors import (
    ContextTooLong,
    EngineFailed,
    EngineGarbled,
    EngineKeyRefused,
    EngineOverloaded,
    EngineRefused,
    EngineTimedOut,
    ModelNotLoaded,
    readable,
)

DEFAULT_WAIT, LONGEST_WAIT = 5.0, 3600.0  # seconds
STATUS = re.compile(r"[45]\d\d", re.ASCII)
SECONDS = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)
TOO_LONG = ("context_length_exceeded", "maximum context length", "exceed_context_size", "context window")


class Said(msgspec.Struct, frozen=True):
    """An engine's own words: OpenAI's error object, or one of its cousins."""

    message: str = ""
    code: str = ""
    kind: str = ""

    @property
    def is_too_long(self) -> bool:
        """Whether it complains of the prompt's length."""
        text = f"{self.code} {self.kind} {self.message}".lower()
        return any(sign in text for sign in TOO_LONG)


def failure_of(status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
    """The error that an HTTP answer other than 200 stands for."""
    said = said_in(body)
    if status == 429:
        return EngineOverloaded(shown("has too much to do", said), retry_after=wait_of(headers))
    if status in (401, 403):
        return EngineKeyRefused()
    if status in (408, 504):
        return EngineTimedOut("the model's engine says that it took too long itself")
    if status >= 500:
        return EngineFailed(f"the model's engine failed with HTTP {status}; try again shortly")
    if status < 400:
        return EngineGarbled(f"the model's engine answered HTTP {status} instead of a chat completion")
    return refusal(status, said)


def failure_in(error: msgspec.Raw | bytes, kind: str | None = None) -> PenstockError:
    """The error that an error object inside of a 200 stands for."""
    said = said_in(b'{"error":' + bytes(error) + b"}", kind or "")
    if said.is_too_long:
        return ContextTooLong(shown("finds the prompt too long", said))
    if STATUS.fullmatch(said.code):
        return failure_of(int(said.code), {}, b'{"error":' + bytes(error) + b"}")
    words = f"{said.code} {said.kind}".lower()
    if "rate_limit" in words or "overloaded" in words:
        return EngineOverloaded(shown("has too much to do", said))
    if "invalid_request" in words or "validation" in words:
        return EngineRefused(shown("refused the request", said))
    return EngineFailed(shown("failed", said))


def failure_told(completion: Completion, data: bytes) -> PenstockError | None:
    """What an object says went wrong that should be a completion: in its `error`, or as an error itself (vLLM)."""
    if is_given(completion.error):
        return failure_in(completion.error, completion.error_type)
    return failure_in(data) if completion.object == "error" else None


def refusal(status: int, said: Said) -> PenstockError:
    """The error that a 4xx stands for."""
    if said.is_too_long:
        return ContextTooLong(shown("finds the prompt too long", said))
    if status in (404, 405):
        return ModelNotLoaded()
    return EngineRefused(shown(f"refused the request (HTTP {status})", said))


def said_in(body: bytes, kind: str = "") -> Said:
    """What an error's body says; nothing where it is not JSON."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Said()
    if not isinstance(found, dict):
        return Said()
    # FastAPI's {"detail"}, vLLM's and TGI's top-level fields, OpenAI's {"error": {…}}
    nested = found.get("error") or found.get("detail") or found
    return said_of(nested, str(found.get("error_type") or kind))


def said_of(found: Any, kind: str) -> Said:
    """The words of an error object, or of a bare text."""
    if isinstance(found, dict):
        message, code = found.get("message"), found.get("code")
        return Said(str(message or ""), "" if code is None else str(code), str(found.get("type") or kind))
    return Said(found if isinstance(found, str) else "", "", kind)


def shown(what: str, said: Said) -> str:
    """A sentence with the engine's own words, made safe to show."""
    words = readable(said.message)
    return f"the model's engine {what}: {words}" if words else f"the model's engine {what}"


def wait_of(headers: Mapping[str, str]) -> float:
    """Seconds from `Retry-After`; dates and nonsense read as 5."""
    given = headers.get("retry-after", "").strip()
    return min(float(given), LONGEST_WAIT) if SECONDS.fullmatch(given) else DEFAULT_WAIT
