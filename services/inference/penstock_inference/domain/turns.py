"""Whose turn it is: start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) among those who wait.

Each turn of a party costs one over its weight of virtual time, and whoever is served least by that clock goes next.
Who comes new, and has nothing at work, begins at the clock's time: its first turn is the next one, however long the
others have waited.
"""

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")

TURN = 720_720
"""Virtual time of a turn of weight 1. Whole for weights up to 16, so that shares come out exactly."""
SPENT = 64
"""Of parties that don't wait, remembered at least; more of them are looked through now and then."""


@dataclass(slots=True)
class Due:
    """When a party's next turn is due."""

    start: int
    cost: int
    number: int
    """In the order in which the parties came."""
    is_new: bool
    """Whether it has nothing at work, and had no turn of late: it goes first among equals."""

    @property
    def order(self) -> tuple[int, bool, int]:
        """The lowest goes next."""
        return self.start, not self.is_new, self.number


class Turns(Generic[P]):
    """The parties that wait. Every call but `before` takes the logarithm of their number."""

    def __init__(self) -> None:
        self._clock = self._number = 0
        self._due: dict[P, Due] = {}
        self._heap: list[tuple[tuple[int, bool, int], P]] = []
        self._spent: dict[P, int] = {}
        """Until when the turns last had reach, of parties that don't wait; only what lies ahead of the clock."""

    def join(self, party: P, weight: int, *, is_busy: bool) -> None:
        """It waits from now on. `is_busy`: something of it is at work, which counts as a turn that it had."""
        cost = TURN // weight
        start = self._spent.pop(party, 0)
        is_new = start <= self._clock and not is_busy
        if start <= self._clock:
            start = self._clock + (cost if is_busy else 0)
        self._number += 1
        self._due[party] = Due(start, cost, self._number, is_new)
        self._push(party)

    def first(self) -> P | None:
        """Whose turn it is; None where nobody waits."""
        while self._heap:
            order, party = self._heap[0]
            if (due := self._due.get(party)) and due.order == order:
                return party
            heapq.heappop(self._heap)
        return None

    def serve(self, party: P) -> None:
        """It has its turn now, and waits for another."""
        due = self._due[party]
        self._clock = max(self._clock, due.start)
        due.start += due.cost
        due.is_new = False
        self._push(party)

    def leave(self, party: P) -> None:
        """It waits no more. When nobody does, everything begins anew."""
        due = self._due.pop(party)
        if not self._due:
            self._clock = 0
            self._heap.clear()
            self._spent.clear()
            return
        self._spent[party] = due.start
        if len(self._spent) > SPENT + 2 * len(self._due):
            self._spent = {p: until for p, until in self._spent.items() if until > self._clock}

    def before(self, party: P, ahead: int, waiting: dict[P, int]) -> int:
        """Turns of others before this party's, once it had `ahead` of them, where nobody comes any more.

        `waiting` is how many turns each party waits for. Takes as long as there are parties.
        """
        own = self._due[party]
        start, later = own.start + ahead * own.cost, ahead > 0 or not own.is_new
        others = ((due, waiting[p]) for p, due in self._due.items() if p != party)
        return sum(_turns_before(due, most, (start, later, own.number)) for due, most in others)

    def _push(self, party: P) -> None:
        if len(self._heap) > SPENT + 2 * len(self._due):  # of those who left and came again
            self._heap = [(due.order, p) for p, due in self._due.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (self._due[party].order, party))


def _turns_before(due: Due, most: int, order: tuple[int, bool, int]) -> int:
    """How many of a party's next turns come before a moment, of `most` at most."""
    distance = order[0] - due.start
    if distance < 0:
        return 0
    turns = -(-distance // due.cost)
    if distance % due.cost == 0 and (turns > 0 or not due.is_new, due.number) < order[1:]:
        turns += 1
    return min(turns, most)
