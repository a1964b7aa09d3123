"""A process killed before and after each durable step leaves the same end as one that lives."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.inference.crash.endings import Ending, until
from tests.integration.inference.crash.plays import PLAYS, Play
from tests.integration.inference.crash.process import STATUS
from tests.integration.inference.crash.scene import Scene, a_scene
from tests.support.databases import Databases

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(300)]

KILLED = "-9"
AT_ONCE = 15
"""Processes, so that a small machine still runs them all in time."""
DIFFERENCE = 3  # tokens
TOLD = {
    "succeeded": (("stop",), 1, ()),
    "cancelled": (("cancelled",), 1, ()),
    "failed": ((), 0, ("inference.undeliverable",)),
}
"""Finish reasons, end marks and errors that a client reads, by outcome."""


@pytest.fixture
async def scene(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """A platform that knows its models."""
    async with a_scene(platform_databases, bus_url, tmp_path) as scene:
        async with scene.inference():
            await until(lambda: scene.api.app.catalogue.version, lambda: "no catalogue")
        yield scene


async def uncrashed(scene: Scene, play: Play) -> tuple[list[str], Ending]:
    """The points that a process passes which lives, and the end that it makes."""
    (life,) = await play.run(scene, [""])
    async with scene.inference():
        (ending,) = await scene.endings()
    await life.kill()
    return play.own(life.points()), ending


async def crashed(scene: Scene, play: Play, points: list[str]) -> list[Ending]:
    """The ends that another process makes after one was killed at each point."""
    found: list[Ending] = []
    for start in range(0, len(points), AT_ONCE):
        lives = await play.run(scene, points[start : start + AT_ONCE])
        codes = await asyncio.gather(*(life.wrote(STATUS) for life in lives))
        assert set(codes) == {KILLED}
        async with scene.inference():
            found += await scene.endings()
    return found


def require(ending: Ending, play: Play) -> None:
    """The end that a play has where nothing dies: said once, charged once, every attempt booked."""
    assert (ending.outcome, ending.status, ending.said, ending.is_booked) == (play.outcome, play.outcome, 1, True)
    assert len(ending.charges) == 1
    assert (ending.finishes, ending.dones, ending.errors) == TOLD[play.outcome]
    assert play.text.startswith(ending.text)
    assert (ending.text == play.text) == (play.outcome != "cancelled")


def told(ending: Ending, wanted: Ending, play: Play) -> Ending:
    """An end without what may differ: a take-over counts tokens in part by estimate, a stop comes at any time."""
    if len(ending.charges) != 1:
        return ending
    (charge,), (usual,) = ending.charges, wanted.charges
    if ending.text == wanted.text == play.text or not usual:
        return replace(ending, charges=(usual,)) if abs(charge - usual) <= DIFFERENCE else ending
    begun = 0 < len(ending.text) < len(play.text) and play.text.startswith(ending.text) and charge
    return replace(ending, text="begun", charges=()) if begun else ending


@pytest.mark.parametrize("name", PLAYS)
async def test_same_end(name: str, scene: Scene) -> None:
    """For each point: the exact text, one end, one charge, every attempt booked, nothing that waits."""
    play = PLAYS[name]
    points, wanted = await uncrashed(scene, play)
    print(f"crash points, {name}: {len(points)}: {', '.join(points)}")
    require(wanted, play)
    endings = [told(ending, wanted, play) for ending in await crashed(scene, play, points)]
    assert set(endings) == {told(wanted, wanted, play)}, dict(zip(points, endings, strict=False))
