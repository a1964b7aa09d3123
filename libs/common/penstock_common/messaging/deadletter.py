"""A message that could not be handled, with its whole story; the same on both buses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock_common.contracts.base import C, Wire, decode
from penstock_common.messaging.envelope import MESSAGE_ID

CONSUMER = "dlq-consumer"
SUBJECT = "dlq-subject"
SEQUENCE = "dlq-sequence"
ATTEMPTS = "dlq-attempts"
REASON = "dlq-reason"
FIRST = "dlq-first"
LAST = "dlq-last"
REASON_LENGTH = 500  # characters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Headers and body as they were published, and what happened to them since."""

    consumer: str
    message_id: str
    subject: str
    sequence: str
    attempts: int
    reason: str
    first_failed_at: datetime
    last_failed_at: datetime
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def parse(cls, headers: Mapping[str, str], body: bytes) -> "DeadLetter":
        """Read from the headers that `story` wrote; a field that the bus itself could not know stays empty."""
        now = datetime.now(UTC).isoformat()
        return cls(
            consumer=headers.get(CONSUMER, ""),
            message_id=headers.get(MESSAGE_ID, ""),
            subject=headers.get(SUBJECT, ""),
            sequence=headers.get(SEQUENCE, ""),
            attempts=int(headers.get(ATTEMPTS, "0")),
            reason=headers.get(REASON, ""),
            first_failed_at=datetime.fromisoformat(headers.get(FIRST, now)),
            last_failed_at=datetime.fromisoformat(headers.get(LAST, now)),
            headers={k: v for k, v in headers.items() if not k.startswith("dlq-")},
            body=body,
        )

    def decode(self, contract: type[C]) -> C:
        """The body as its contract. Raises ContractViolated."""
        return decode(contract, self.body, Wire(self.headers.get("content-type", Wire.JSON.value)))


def describe(error: BaseException) -> str:
    """An error as a dead letter's reason: type and message, on one line of ASCII, bounded."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ").replace("\r", " ")
    return text.encode("ascii", "backslashreplace").decode()[:REASON_LENGTH]
