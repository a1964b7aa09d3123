"""What a look leaves for the next one, so that a big outbox is read once: how far everything was compared."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from penstock.auditing.judging import Open
from penstock.platform.files import write_private
from penstock_common.messaging.inspection import LaneState

MOST_KEPT = 1_000
"""Messages that are remembered of what nobody said, or said twice."""
DAYS_KEPT = 400
FORM = 1
"""Notes of another form are begun anew."""


class Odd(msgspec.Struct, frozen=True, order=True):
    """A message that should not be as it is."""

    consumer: str
    """Who has it; of what was said twice, its topic."""
    message_id: str
    day: date


class Notes(msgspec.Struct, kw_only=True):
    """How far the outboxes were compared, and what lacked then."""

    since: date
    """The first day that is audited."""
    form: int = FORM
    through: dict[str, UUID] = {}
    """By service, the id below which each row of its outbox was compared; what lacked of it is in `open`."""
    published: dict[date, dict[str, int]] = {}
    """Messages said by day and consumer, below those ids."""
    open: list[Open] = []
    closed: list[date] = []
    """Days that were compared once more as a whole: nobody can add to them any more."""
    began: dict[str, date] = {}
    """By consumer, the first day on which it was there."""
    unsaid: list[Odd] = []
    """Handled, and in no outbox."""
    lanes: dict[str, LaneState] = {}
    """How the bus was."""
    twice: list[Odd] = []
    """In an outbox twice, or handled under another day than its id's, where a redelivery would not find it."""

    def start_of(self, service: str) -> UUID:
        """Where the next look at an outbox begins."""
        return self.through.get(service, first_of(self.since))

    def add(self, day: date, consumer: str, count: int) -> None:
        """Count messages that were said."""
        of_day = self.published.setdefault(day, {})
        of_day[consumer] = of_day.get(consumer, 0) + count

    def total(self, consumer: str) -> int:
        """All messages said to a consumer that were counted."""
        return sum(of_day.get(consumer, 0) for of_day in self.published.values())

    def forget(self, before: date) -> None:
        """Let go of days that are long gone."""
        self.since = max(self.since, before)
        self.published = {day: counts for day, counts in self.published.items() if day >= before}
        self.closed = [day for day in self.closed if day >= before]
        self.unsaid = [odd for odd in self.unsaid if odd.day >= before][-MOST_KEPT:]
        self.twice = [odd for odd in self.twice if odd.day >= before][-MOST_KEPT:]

    def copied(self) -> "Notes":
        """The same, to be changed apart."""
        return msgspec.json.decode(msgspec.json.encode(self), type=Notes)

    def save(self, path: Path) -> None:
        """Keep them for the next process."""
        write_private(path, msgspec.json.encode(self).decode())


def load(path: Path) -> Notes | None:
    """What an earlier process kept; None where there is nothing of use."""
    try:
        notes = msgspec.json.decode(path.read_bytes(), type=Notes)
    except (OSError, msgspec.MsgspecError):
        return None
    return notes if notes.form == FORM else None


def first_of(day: date) -> UUID:
    """Below every uuid7 that is made on a day."""
    return first_at(datetime(day.year, day.month, day.day, tzinfo=UTC))


def first_at(moment: datetime) -> UUID:
    """Below every uuid7 that is made from a moment on."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def days(first: date, last: date) -> Iterator[date]:
    """Each day from the first to the last."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)
