"""What many ask at the same time is asked together, and each hears what was said of its own."""

import asyncio
from collections.abc import Sequence

import pytest

from penstock_common.gathering import Gathering


class Oracle:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.wrath: Exception | None = None

    async def ask(self, keys: Sequence[int]) -> dict[int, str]:
        """Knows even numbers."""
        self.asked.append(list(keys))
        await self.gate.wait()
        if self.wrath:
            raise self.wrath
        return {key: f"about {key}" for key in keys if key % 2 == 0}


@pytest.fixture
def oracle() -> Oracle:
    """One that is silent."""
    return Oracle()


async def asking(gathering: Gathering[int, str], *keys: int) -> list["asyncio.Task[str | None]"]:
    """Those who ask, waiting."""
    tasks = [asyncio.create_task(gathering.find(key)) for key in keys]
    await asyncio.sleep(0.01)
    return tasks


async def test_whoever_asks_meanwhile_shares_the_next_question(oracle: Oracle) -> None:
    """Up to so many; what is asked twice is asked once, but never by a question that is under way."""
    gathering = Gathering(oracle.ask, most=3)
    first = await asking(gathering, 2)
    others = await asking(gathering, 2, 3, 4, 4, 6, 8)
    assert oracle.asked == [[2]]
    oracle.gate.set()
    assert await asyncio.gather(*first, *others) == [
        "about 2",
        *("about 2", None, "about 4", "about 4", "about 6", "about 8"),
    ]
    assert oracle.asked == [[2], [2, 3, 4], [6, 8]]
    assert await gathering.find(10) == "about 10"


async def test_several_questions_may_be_under_way(oracle: Oracle) -> None:
    """So that one without an answer does not hold up all."""
    gathering = Gathering(oracle.ask, most=8, at_once=2)
    tasks = await asking(gathering, 0) + await asking(gathering, 2) + await asking(gathering, 4, 6)
    assert oracle.asked == [[0], [2]]
    oracle.gate.set()
    assert await asyncio.gather(*tasks) == ["about 0", "about 2", "about 4", "about 6"]
    assert oracle.asked == [[0], [2], [4, 6]]


async def test_a_question_that_fails_fails_for_those_who_shared_it(oracle: Oracle) -> None:
    """And for nobody else."""
    gathering = Gathering(oracle.ask, most=8)
    first = await asking(gathering, 0)
    oracle.wrath = ValueError("not today")
    oracle.gate.set()
    for error in await asyncio.gather(*first, return_exceptions=True):
        assert isinstance(error, ValueError)
    oracle.wrath = None
    assert await gathering.find(0) == "about 0"


async def test_who_leaves_costs_the_others_nothing(oracle: Oracle) -> None:
    """Their question goes on."""
    gathering = Gathering(oracle.ask, most=8)
    one, two = await asking(gathering, 2, 2)
    one.cancel()
    oracle.gate.set()
    assert await two == "about 2"
    assert one.cancelled()
