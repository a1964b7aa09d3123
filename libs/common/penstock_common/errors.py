"""The one error family: every failure that a caller can act on has a code and a fault."""

from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """What the caller can do about it; only the edges translate it."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CONFLICT = "conflict"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"

    @property
    def passes(self) -> bool:
        """True where the same call may succeed later without being changed."""
        return self in (Fault.LIMITED, Fault.UNAVAILABLE, Fault.TIMEOUT)


class PenstockError(Exception):
    """Raise a subclass. `code` is public API and never changes once released."""

    code: ClassVar[str]
    fault: ClassVar[Fault]
    retry_after: float = 5.0  # seconds
    internal: ClassVar[bool] = False
    """Whether its message may name servers and statements, and is for operators alone."""

    def __init__(self, message: str = "", **context: object) -> None:
        super().__init__(message or self.code)
        self.message = message or self._sentence
        self.context = context

    @property
    def public(self) -> str:
        """What clients are told."""
        return self._sentence if self.internal else self.message

    @property
    def _sentence(self) -> str:
        return (self.__doc__ or self.code).strip().splitlines()[0]


def code_of(error: BaseException) -> str:
    """What names the error for programs: its public code, or its type."""
    return error.code if isinstance(error, PenstockError) else type(error).__name__


class ContractViolated(PenstockError):
    """The message does not fit its contract."""

    code = "common.contract_violated"
    fault = Fault.INVALID


class FingerprintDiffers(PenstockError):
    """A message id that was handled before came again with another content."""

    code = "common.fingerprint_differs"
    fault = Fault.CONFLICT


class BusUnavailable(PenstockError):
    """The message bus can't be reached; try again shortly."""

    code = "common.bus_unavailable"
    fault = Fault.UNAVAILABLE
    internal = True


class MessageTooLarge(PenstockError):
    """The message is larger than the bus takes."""

    code = "common.message_too_large"
    fault = Fault.TOO_LARGE


class TopologyMissing(PenstockError):
    """The bus lacks what the topology declares; run `penstock topology apply`."""

    code = "common.topology_missing"
    fault = Fault.UNAVAILABLE


class TopologyRefused(PenstockError):
    """The topology can't be applied without losing messages."""

    code = "common.topology_refused"
    fault = Fault.CONFLICT


class DatabaseUnavailable(PenstockError):
    """The database can't be reached; try again shortly."""

    code = "common.database_unavailable"
    fault = Fault.UNAVAILABLE
    internal = True


class SchemaMissing(PenstockError):
    """The database lacks the service's tables; run `penstock migrate`."""

    code = "common.schema_missing"
    fault = Fault.UNAVAILABLE


class NoAnswer(PenstockError):
    """No service answered the query in time."""

    code = "common.no_answer"
    fault = Fault.TIMEOUT


class SubjectErased(PenstockError):
    """The key of this data was erased, and the data with it."""

    code = "common.subject_erased"
    fault = Fault.MISSING
