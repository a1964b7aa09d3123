"""Dead letters, as routes use them. Every method raises DatabaseUnavailable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from penstock_api.domain.dead_letter_payload import Shown
from penstock_api.domain.dead_letters import FASTEST, Act, Choice, Counted, Letter, WholeLetter


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit log has it."""

    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act did."""

    act_id: UUID | None
    """As the audit log has it; none where there was nothing to be done."""
    counted: Counted


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a retry would do now."""

    would: str
    """`apply`, `skip`, `conflict`, or `unknown`."""
    because: str


class DeadLetters(Protocol):
    """Reads letters."""

    async def page(self, choice: Choice, after: UUID | None, most: int) -> Sequence[Letter]:
        """Up to `most` letters, the oldest first, after the one of this id."""

    async def find(self, letter_id: UUID) -> WholeLetter:
        """One letter. Raises LetterNotFound."""

    async def whole(self, choice: Choice, after: UUID | None, most: int) -> Sequence[WholeLetter]:
        """As `page`, with everything; fewer where they are large."""

    async def count(self, choice: Choice) -> Counted:
        """How many an act on this choice would be about."""

    async def summary(self) -> Mapping[str, Mapping[str, int]]:
        """Counts by consumer and state."""


class LetterActs(Protocol):
    """Does something to letters: new state, what follows from it and the audit entry are one transaction."""

    async def do(self, order: "Order", actor: Actor) -> Outcome:
        """What is ordered, to all that it chooses or to none. Raises TooManyLetters, ConsumerGone."""

    async def edit(self, letter_id: UUID, change: "Change", actor: Actor) -> WholeLetter:
        """Give the next attempts another payload. Raises LetterNotFound, LetterSettled, EditRefused."""

    async def exported(self, choice: Choice, actor: Actor) -> None:
        """Write down that letters are being read out."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be done to several letters."""

    act: Act
    choice: Choice
    rate: float = FASTEST
    """Letters a second, where they are tried again."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a payload."""

    patch: Mapping[str, Any] | None = None
    """A merge patch (RFC 7396)."""
    payload: Mapping[str, Any] | None = None
    """Another payload altogether; one of the two is given."""


class LetterReading(Protocol):
    """What can be said of a letter beyond its row."""

    def payload(self, whole: WholeLetter, *, original: bool = False) -> Shown:
        """The payload that the next attempt gets, or the original."""

    async def foresee(self, whole: WholeLetter) -> Foresight:
        """What a retry would do now, asked of the consumer's service."""
