"""The ledger's measurement is of the real thing, and believes no wrong books."""

import asyncio
from typing import Any

import pytest

from measuring import ledger
from measuring.tools import BenchError

pytestmark = pytest.mark.integration

EVENTS = 400


def test_events_are_posted_told_and_counted() -> None:
    """By billing's own process, from the bus; repeats are charged once."""
    measured = ledger.measure(EVENTS)
    assert measured["events"] == EVENTS
    assert measured["events_per_s"] > 0
    shares = measured["cpu_us_per_event"]
    assert {"total", "billing", "postgres", "nats"} == set(shares)
    assert shares["total"] == pytest.approx(shares["billing"] + shares["postgres"], abs=0.2)


class Books:
    """A database that says what stands in its books."""

    def __init__(self, **found: int) -> None:
        self.found = found

    async def fetchrow(self, _: str) -> dict[str, int]:
        """The sums."""
        return self.found


RIGHT = {"charged": 2, "requests": 2, "costed": 2, "owed": 2 * ledger.CHARGE, "balance": 0, "told": 2}


@pytest.mark.parametrize(
    "wrong", [{"charged": 3}, {"requests": 1}, {"costed": 1}, {"owed": 1}, {"balance": 1}, {"told": 1}]
)
def test_wrong_books_are_an_error(wrong: dict[str, int]) -> None:
    """Whichever of their sums it is."""
    books: Any = Books(**RIGHT)
    asyncio.run(ledger._check(books, 2))
    books = Books(**RIGHT | wrong)
    with pytest.raises(BenchError, match="the books are wrong"):
        asyncio.run(ledger._check(books, 2))
