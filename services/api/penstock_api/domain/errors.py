"""What may go wrong with a request, and what the client is told of it."""

from penstock_common.contracts.stream import Failure
from penstock_common.errors import Fault, PenstockError

CRASHED = Failure("api.crashed", "crash", "Something went wrong inside the platform; try again.")


class InvalidRequest(PenstockError):
    """The request is not one that can be answered. `param` names the offending field."""

    code = "api.invalid_request"
    fault = Fault.INVALID

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param=param)


class BodyTooLarge(PenstockError):
    """The body is larger than 6 MB; send less, or put large files behind a URL."""

    code = "api.body_too_large"
    fault = Fault.TOO_LARGE


class BodyTooSlow(PenstockError):
    """The body did not arrive in time; send it at once."""

    code = "api.body_too_slow"
    fault = Fault.TIMEOUT


class HeadersTooLarge(PenstockError):
    """The headers are more than 100, or larger than 64 KiB in all."""

    code = "api.headers_too_large"
    fault = Fault.TOO_LARGE


class ModelNotFound(PenstockError):
    """The model does not exist; GET /v1/models lists those that do."""

    code = "api.model_not_found"
    fault = Fault.MISSING


class ModelUnsuited(PenstockError):
    """The model does something else; name one that serves this route."""

    code = "api.model_unsuited"
    fault = Fault.INVALID


class Busy(PenstockError):
    """Too many requests are open in this process; try again shortly."""

    code = "api.busy"
    fault = Fault.LIMITED
    retry_after = 1.0


class Starting(PenstockError):
    """This process is still starting; try again in a moment."""

    code = "api.starting"
    fault = Fault.UNAVAILABLE
    retry_after = 1.0


class Stopping(PenstockError):
    """This process is stopping; send the request again, and another one takes it."""

    code = "api.stopping"
    fault = Fault.UNAVAILABLE
    retry_after = 1.0

    @classmethod
    def in_stream(cls, name: str) -> "Stopping":
        """In mid-answer, of the request of this id: sent again, it would be generated and charged anew."""
        return cls(
            f"This process is stopping; read on from another one: GET /api/v1/inference/{name}/stream "
            "with this event's id as Last-Event-ID."
        )


class AnswerLost(PenstockError):
    """No answer came before the request's deadline; look at its usage before sending it again."""

    code = "api.answer_lost"
    fault = Fault.TIMEOUT


class AnswerDiverged(PenstockError):
    """The answer was made anew after a fault, and differs from what was delivered; send the request again."""

    code = "api.answer_diverged"
    fault = Fault.UNAVAILABLE


class AnswerTooLong(PenstockError):
    """The answer is longer than 8 MB; ask for fewer tokens."""

    code = "api.answer_too_long"
    fault = Fault.INVALID


class AnswerBroken(PenstockError):
    """The engine's answer is not what was asked for; send the request again."""

    code = "api.answer_broken"
    fault = Fault.UNAVAILABLE


class PositionInvalid(PenstockError):
    """The position is not one of this answer's events; send the id of the last event as it was."""

    code = "api.position_invalid"
    fault = Fault.INVALID


class GenerationCancelled(PenstockError):
    """The request was cancelled before it was answered."""

    code = "api.generation_cancelled"
    fault = Fault.CONFLICT


class GenerationFailed(PenstockError):
    """The generation ended without an answer, for the reason that inference gave."""

    code = "api.generation_failed"
    fault = Fault.UNAVAILABLE

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ClientLeft(Exception):
    """Nobody reads the answer any more."""


class SlowReader(Exception):
    """The client has made no room for more for too long."""


def failure_of(error: BaseException) -> Failure:
    """What a client is told: of our own errors their code and sentence, of others nothing."""
    if isinstance(error, GenerationFailed):
        return error.failure
    if not isinstance(error, PenstockError):
        return CRASHED
    retry_after = error.retry_after if error.fault.passes else 0.0
    return Failure(error.code, error.fault.value, error.public, retry_after)


def param_of(error: BaseException) -> str | None:
    """The field that an error is about, where it names one."""
    param = error.context.get("param") if isinstance(error, PenstockError) else None
    return str(param) if param else None
