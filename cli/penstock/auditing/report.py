"""What one look found."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from penstock.auditing.judging import Open
from penstock.auditing.notes import Odd

SHOWN = 1_000
"""Messages of one kind that a report names; the counts are exact."""


@dataclass(frozen=True, slots=True)
class Tally:
    """One consumer: published = done + dead + waiting + missing."""

    consumer: str
    topic: str
    published: int = 0
    done: int = 0
    dead: int = 0
    """Among its dead letters, waiting for a decision or dropped."""
    waiting: int = 0
    """On the bus, being handled, or not on the bus yet."""
    missing: int = 0

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True, kw_only=True)
class Report:
    """All consumers at one moment."""

    at: datetime
    since: date
    seconds: float = 0.0
    """What the look took."""
    tallies: list[Tally] = field(default_factory=list)
    missing: list[Open] = field(default_factory=list)
    doubted: int = 0
    """Messages that the bus does not have, and for too short a time to call them missing."""
    unpublished: int = 0
    """Messages that have been in an outbox for a minute, and not on the bus."""
    unsaid: list[Odd] = field(default_factory=list)
    twice: list[Odd] = field(default_factory=list)
    overdue: list[str] = field(default_factory=list)
    """Requests of waiting clients that were accepted and have no end, past their deadline."""
    unaudited: dict[str, str] = field(default_factory=dict)
    """Consumers that no outbox speaks to, each with the reason."""

    @property
    def missing_count(self) -> int:
        """Messages and requests that are lost."""
        return sum(tally.missing for tally in self.tallies)

    @property
    def clean(self) -> bool:
        """Whether nothing is missing, made up or doubled."""
        return not (self.missing_count or self.unsaid or self.twice)

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints, and what the watch keeps."""
        return {
            "clean": self.clean,
            "at": self.at.isoformat(),
            "since": self.since.isoformat(),
            "seconds": round(self.seconds, 3),
            "consumers": [tally.as_json() for tally in self.tallies],
            "missing": [entry.as_json() for entry in self.missing[:SHOWN]],
            "overdue_requests": self.overdue[:SHOWN],
            "unpublished": self.unpublished,
            "unsaid": [_odd(odd) for odd in self.unsaid[:SHOWN]],
            "twice": [_odd(odd) for odd in self.twice[:SHOWN]],
            "unaudited": self.unaudited,
        }


def _odd(odd: Odd) -> dict[str, str]:
    return {"consumer": odd.consumer, "message_id": odd.message_id, "day": odd.day.isoformat()}
