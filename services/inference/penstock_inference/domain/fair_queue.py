"""What waits for a slot, and what of it goes next: fair among tenants, by weight and by tier."""

import heapq
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from penstock_inference.domain.turns import Turns

T = TypeVar("T")

STALE = 64  # entries of what was taken out, before a line is made anew


class Party(NamedTuple):
    """Who takes turns: a tenant, by tier."""

    tenant: UUID
    is_reserved: bool
    """Whether its tier may use the slots that are kept for it."""


class Place(NamedTuple):
    """Where something waits."""

    party: Party
    rank: int
    """The lowest of a party goes first."""
    number: int
    """And of equals the oldest."""


@dataclass(slots=True)
class Line(Generic[T]):
    """What one party waits for."""

    waiting: dict[Place, T] = field(default_factory=dict)
    order: list[Place] = field(default_factory=list)
    """A heap; some of it may be gone from `waiting`."""

    def add(self, place: Place, item: T) -> None:
        """One more."""
        self.waiting[place] = item
        if len(self.order) > STALE + 2 * len(self.waiting):
            self.order = list(self.waiting)
            heapq.heapify(self.order)
        else:
            heapq.heappush(self.order, place)

    def pop(self) -> T:
        """The first; there must be one."""
        while (place := heapq.heappop(self.order)) not in self.waiting:
            pass
        return self.waiting.pop(place)


class FairQueue(Generic[T]):
    """The slots that are open to all, and those that are kept for a tier, are each shared fairly by themselves."""

    def __init__(self) -> None:
        self._lines: dict[Party, Line[T]] = {}
        self._open, self._reserved = Turns[Party](), Turns[Party]()
        self._count = self._number = 0

    def __len__(self) -> int:
        return self._count

    def waiting(self, party: Party) -> int:
        """How many wait of a party."""
        line = self._lines.get(party)
        return len(line.waiting) if line else 0

    def add(self, item: T, party: Party, weight: int, *, rank: int = 0, is_busy: bool = False) -> Place:
        """It waits at this place. `is_busy`: something of its tenant is at work now."""
        line = self._lines.get(party)
        if line is None:
            line = self._lines[party] = Line()
            for turns in self._turns(party):
                turns.join(party, weight, is_busy=is_busy)
        self._number += 1
        place = Place(party, rank, self._number)
        line.add(place, item)
        self._count += 1
        return place

    def pop(self, *, reserved: bool = False) -> T | None:
        """What goes next; with `reserved` of the parties that may use reserved slots. None where nothing waits."""
        turns = self._reserved if reserved else self._open
        if (party := turns.first()) is None:
            return None
        line = self._lines[party]
        item = line.pop()
        turns.serve(party)
        self._gone(party, line)
        return item

    def remove(self, place: Place) -> bool:
        """It waits no more; False where it did not."""
        line = self._lines.get(place.party)
        if line is None or line.waiting.pop(place, None) is None:
            return False
        self._gone(place.party, line)
        return True

    def position(self, place: Place) -> int:
        """From 1: how many turns until it goes, if nobody comes and all slots are open to all. Raises KeyError."""
        line = self._lines[place.party]
        if place not in line.waiting:
            raise KeyError(place)
        ahead = sum(other < place for other in line.waiting)
        waiting = {party: len(line.waiting) for party, line in self._lines.items()}
        return 1 + ahead + self._open.before(place.party, ahead, waiting)

    def _gone(self, party: Party, line: Line[T]) -> None:
        self._count -= 1
        if not line.waiting:
            del self._lines[party]
            for turns in self._turns(party):
                turns.leave(party)

    def _turns(self, party: Party) -> tuple[Turns[Party], ...]:
        return (self._open, self._reserved) if party.is_reserved else (self._open,)
