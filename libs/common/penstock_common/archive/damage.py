"""What is wrong with a part of the archive."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Damage:
    """A part that can't be read; what it held is missing from what is given."""

    service: str
    day: date
    key: str
    """The object."""
    reason: str
    """What is wrong with it."""
    segment: int
    """Its number within the day; 0 where it is the day's own description."""
    member: int | None = None
    """Counted from 1; None where the whole segment is meant."""
    events: int | None = None
    """How many are missing; None where nobody can tell."""

    def __str__(self) -> str:
        """As a person is told."""
        part = f", member {self.member}" if self.member else ""
        lost = "events" if self.events is None else f"{self.events} events"
        return f"{self.key}{part}: {self.reason}; {lost} skipped"

    def as_json(self) -> dict[str, object]:
        """As a program is told."""
        return {
            "service": self.service,
            "day": self.day.isoformat(),
            "key": self.key,
            "segment": self.segment,
            "member": self.member,
            "reason": self.reason,
            "events": self.events,
        }


Report = Callable[[Damage], None]
