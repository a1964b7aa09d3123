"""A message that could not be handled, with its whole story; the same on both buses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock_common.contracts.base import C, Wire, decode
from penstock_common.messaging.attempts import NO_ANSWER, Attempt, read_story
from penstock_common.messaging.envelope import MESSAGE_ID

PREFIX = "dlq-"
"""What headers begin with that tell the story of a message's attempts."""
CONSUMER = "dlq-consumer"
SUBJECT = "dlq-subject"
SEQUENCE = "dlq-sequence"
ATTEMPTS = "dlq-attempts"
REASON = "dlq-reason"
FIRST = "dlq-first"
LAST = "dlq-last"
STORY = "dlq-story"
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
    story: Sequence[Attempt] = ()
    """Attempts that ended with a word, the oldest first; of many, some of the first and the last ones."""

    @classmethod
    def parse(cls, headers: Mapping[str, str], body: bytes) -> "DeadLetter":
        """Read from the headers that `story` wrote; a field that the bus itself could not know stays empty."""
        now = datetime.now(UTC)
        return cls(
            consumer=headers.get(CONSUMER, ""),
            message_id=headers.get(MESSAGE_ID, ""),
            subject=headers.get(SUBJECT, ""),
            sequence=headers.get(SEQUENCE, ""),
            attempts=number_of(headers.get(ATTEMPTS, "")),
            reason=headers.get(REASON, ""),
            first_failed_at=_moment(headers.get(FIRST, ""), now),
            last_failed_at=_moment(headers.get(LAST, ""), now),
            headers={k: v for k, v in headers.items() if not k.startswith(PREFIX)},
            body=body,
            story=read_story(headers.get(STORY, "")),
        )

    @property
    def code(self) -> str:
        """What the last attempt failed with; it may have ended without a word after others that left one."""
        last = self.story[-1] if self.story else None
        return last.code if last and self.reason.startswith(last.reason) else NO_ANSWER

    def decode(self, contract: type[C]) -> C:
        """The body as its contract. Raises ContractViolated."""
        return decode(contract, self.body, Wire(self.headers.get("content-type", Wire.JSON.value)))


def number_of(written: str) -> int:
    """A count; 0 where it is none, for whoever writes to the bus writes what he likes."""
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else 0


def _moment(written: str, otherwise: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return otherwise
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def describe(error: BaseException) -> str:
    """An error as a dead letter's reason: type and message, on one line of ASCII, bounded."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ").replace("\r", " ")
    return text.encode("ascii", "backslashreplace").decode()[:REASON_LENGTH]
