"""Dead letters at rest: what is known of each, and what may be done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from penstock_common.errors import Fault, PenstockError
from penstock_common.messaging.attempts import Attempt
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.envelope import TENANT

RETRY = "penstock-retry"
"""On a message that is tried again: `<letter>/<act>`. Where it fails, that letter goes on instead of another."""
MOST_AT_ONCE = 10_000  # letters an act may be about
MOST_IDS = 1_000
FASTEST, SLOWEST = 1_000.0, 0.01  # letters a second


class State(StrEnum):
    """What became of a letter."""

    WAITING = "waiting"
    """Nobody has looked at it: what the metric counts."""
    ACKNOWLEDGED = "acknowledged"
    DUE = "due"
    """It is to be tried again, when its turn comes."""
    RETRIED = "retried"
    DROPPED = "dropped"


class Act(StrEnum):
    """What may be done to several letters at once."""

    RETRY = "retry"
    DROP = "drop"
    ACKNOWLEDGE = "acknowledge"


OPEN = (State.WAITING, State.ACKNOWLEDGED)
EDITABLE = (*OPEN, State.DROPPED)
ALLOWED = {
    Act.RETRY: EDITABLE,
    Act.DROP: (*OPEN, State.DUE),
    Act.ACKNOWLEDGE: (State.WAITING,),
}
"""The states of letters to which it may be done; others are left alone."""


class LetterNotFound(PenstockError):
    """There is no such dead letter; GET /api/v1/admin/dead-letters lists those that there are."""

    code = "api.dead_letter_not_found"
    fault = Fault.MISSING


class LetterSettled(PenstockError):
    """The dead letter's state does not allow that."""

    code = "api.dead_letter_settled"
    fault = Fault.CONFLICT


class ConsumerGone(PenstockError):
    """The consumer of this dead letter does not exist any more; drop or export it."""

    code = "api.dead_letter_consumer_gone"
    fault = Fault.CONFLICT


class TooManyLetters(PenstockError):
    """The filters choose more than 10,000 dead letters; narrow them, by consumer or by time."""

    code = "api.too_many_dead_letters"
    fault = Fault.INVALID


class EditRefused(PenstockError):
    """What was to become of the payload is not a message of its topic."""

    code = "api.dead_letter_edit_refused"
    fault = Fault.INVALID


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Another payload for the next attempts; the original stays."""

    number: int
    body: bytes
    fingerprint: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that could not be handled, and its story."""

    id: UUID
    consumer: str
    subject: str
    message_id: str
    tenant: UUID | None
    code: str
    reason: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    collected_at: datetime
    state: State
    changed_at: datetime
    retries: int
    act_id: UUID | None
    """The act that had it tried again last."""
    due_at: datetime | None
    size: int
    """Bytes of its body."""
    edits: int
    """How often it was edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLetter:
    """The letter with what is too long for a list."""

    letter: Letter
    story: Sequence[Attempt]
    headers: Mapping[str, str]
    body: bytes
    edited: Sequence[Edit] = ()
    """The oldest first."""

    @property
    def current(self) -> bytes:
        """The body that the next attempt gets."""
        return self.edited[-1].body if self.edited else self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters; what is None or empty does not choose."""

    consumer: str | None = None
    """A name, or its beginning with `*` behind it; so the topic."""
    topic: str | None = None
    tenant: UUID | None = None
    code: str | None = None
    states: Sequence[State] = OPEN
    failed_since: datetime | None = None
    failed_before: datetime | None = None
    ids: Sequence[UUID] | None = None
    up_to: UUID | None = None
    """No letter that was collected after this one."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many letters an act is about, or would be."""

    by_consumer: Mapping[str, int] = field(default_factory=dict)
    newest: UUID | None = None
    """The last one that was counted: give it as `up_to`, and no later one is touched."""

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_consumer.values())


def allowed(choice: Choice, act: Act) -> Choice:
    """The same letters, but for those to which that may not be done."""
    return replace(choice, states=[state for state in choice.states if state in ALLOWED[act]])


def identity_of(letter: DeadLetter) -> bytes:
    """Equal for copies of one letter, however often the bus delivers it; other contents under one id are others."""
    id_ = letter.message_id or letter.sequence
    parts = (letter.consumer.encode(), id_.encode("utf-8", "surrogateescape"), letter.body)
    return sha256(b"".join(sha256(part).digest() for part in parts)).digest()


def tenant_of(headers: Mapping[str, str]) -> UUID | None:
    """Whose message it was, where it says so."""
    try:
        return UUID(headers.get(TENANT, ""))
    except ValueError:
        return None


def retry_of(headers: Mapping[str, str]) -> tuple[UUID, UUID] | None:
    """The letter and the act that a failed message was tried again for."""
    letter, _, act = headers.get(RETRY, "").partition("/")
    try:
        return UUID(letter), UUID(act)
    except ValueError:
        return None


def described(choice: Choice, counts: Counted) -> dict[str, str]:
    """A choice and what it held, as the details of an audit entry."""
    values = {item.name: getattr(choice, item.name) for item in fields(choice)}
    told = {name: _told(value) for name, value in values.items() if value is not None}
    by_consumer = ", ".join(f"{consumer} {count}" for consumer, count in counts.by_consumer.items())
    return told | {"count": str(counts.count), "consumers": by_consumer}


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
