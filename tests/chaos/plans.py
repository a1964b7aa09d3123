"""What clients ask for, and how they behave: a function of the seed and their number."""

import random
from dataclasses import dataclass

from tests.chaos.equipment import PREFIXED, VERIFIED
from tests.chaos.history import Habit, Plan
from tests.chaos.script import Order

HABITS = (
    *[Habit.STAYS] * 10,
    *[Habit.LEAVES] * 4,
    *[Habit.WHOLE] * 3,
    *[Habit.STOPS] * 2,
    Habit.SLOW,
)
SLOW_WORDS, SLOW_PADDING, SLOW_PACE = 160, 3000, 40.0
"""What a slow reader is told: half a megabyte in a few seconds."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients of a run ask for."""

    seed: int
    seconds: tuple[float, float] = (8.0, 25.0)
    """How long answers take, from and to."""
    pace: tuple[float, float] = (2.0, 6.0)
    """Tokens a second, from and to."""

    def plan(self, number: int) -> Plan:
        """The request of this number."""
        chance = random.Random(f"plan {self.seed} {number}")
        habit = chance.choice(HABITS)
        order = self._slow(number) if habit is Habit.SLOW else self._order(number, chance)
        return Plan(
            order=order,
            model=chance.choice((VERIFIED, PREFIXED)),
            habit=habit,
            named=chance.random() < 0.5,
            turn=max(1, int(order.words * chance.uniform(0.2, 0.7))),
            pause=chance.uniform(0.1, 6.0),
        )

    def _key(self, number: int) -> str:
        return f"{self.seed}-{number}"

    def _slow(self, number: int) -> Order:
        return Order(key=self._key(number), words=SLOW_WORDS, pace=SLOW_PACE, padding=SLOW_PADDING)

    def _order(self, number: int, chance: random.Random) -> Order:
        pace = chance.uniform(*self.pace)
        choices = chance.choice((1, 1, 1, 1, 2, 3))
        words = max(3, int(chance.uniform(*self.seconds) * pace / choices))
        calls = chance.random() < 0.15
        return Order(key=self._key(number), words=words, choices=choices, calls_tool=calls, pace=round(pace, 1))
