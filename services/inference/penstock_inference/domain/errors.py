"""How an engine fails, in words for the client who waits."""

from penstock_common.errors import Fault, PenstockError

MESSAGE_CHARACTERS = 500


class EngineUnreachable(PenstockError):
    """The model's engine can't be reached; try again shortly."""

    code = "inference.engine_unreachable"
    fault = Fault.UNAVAILABLE


class EngineOverloaded(PenstockError):
    """The model's engine has too much to do; try again later."""

    code = "inference.engine_overloaded"
    fault = Fault.LIMITED

    def __init__(self, message: str = "", retry_after: float = 5.0) -> None:
        super().__init__(message, retry_after=retry_after)
        self.retry_after = retry_after


class EngineFailed(PenstockError):
    """The model's engine failed; try again shortly."""

    code = "inference.engine_failed"
    fault = Fault.UNAVAILABLE


class EngineRefused(PenstockError):
    """The model's engine refused the request."""

    code = "inference.engine_refused"
    fault = Fault.INVALID


class ContextTooLong(PenstockError):
    """The prompt is longer than the model's context; shorten it."""

    code = "inference.context_length_exceeded"
    fault = Fault.INVALID


class EmbeddingsTooLarge(PenstockError):
    """The vectors are more than 6 MB; send fewer inputs at once."""

    code = "inference.embeddings_too_large"
    fault = Fault.INVALID


class EngineKeyRefused(PenstockError):
    """The model's engine refused the platform's key; its operator must set a valid one."""

    code = "inference.engine_key_refused"
    fault = Fault.UNAVAILABLE


class ModelNotLoaded(PenstockError):
    """The engine does not know this model; its operator must load it or correct its name."""

    code = "inference.model_not_loaded"
    fault = Fault.UNAVAILABLE


class EngineTimedOut(PenstockError):
    """The model's engine took too long."""

    code = "inference.engine_timeout"
    fault = Fault.TIMEOUT


class EngineCut(PenstockError):
    """The model's engine ended the answer before it was complete."""

    code = "inference.engine_cut"
    fault = Fault.UNAVAILABLE


class EngineGarbled(PenstockError):
    """The model's engine answered with something that is not a chat completion."""

    code = "inference.engine_garbled"
    fault = Fault.UNAVAILABLE


class ModelRefused(PenstockError):
    """The model can't be registered so."""

    code = "inference.model_refused"
    fault = Fault.INVALID


def readable(text: str) -> str:
    """Foreign text made safe to show: one line, printable, bounded to 500 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MESSAGE_CHARACTERS]).split())
    return line if len(line) <= MESSAGE_CHARACTERS else line[: MESSAGE_CHARACTERS - 1] + "…"
