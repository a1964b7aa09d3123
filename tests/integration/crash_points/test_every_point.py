"""A process killed before and after each thing that it writes or says leaves what one leaves that lives."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.crash_points.lives import Life, crew_of
from tests.integration.crash_points.plays import PLAYS, Play, Work
from tests.integration.crash_points.stage import LOOK_SECONDS, Ending, Stage, a_stage
from tests.support.databases import Databases

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(600)]

Works = dict[tuple[str, str], Work]
"""What was crashed, by play and point."""
QUIET_SECONDS = 0.3  # after its last known step a process may have others


@pytest.fixture
async def stage(platform_databases: Databases, bus_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """Servers, and whoever reads what is said."""
    async with a_stage(platform_databases, bus_url, tmp_path) as stage:
        yield stage
    for left in multiprocessing.active_children():  # by a test that failed
        left.kill()


async def uncrashed(stage: Stage, play: Play, name: str) -> tuple[list[str], Ending]:
    """The points that a process passes which lives, and what it leaves."""
    work = await play.begin(stage)
    life = Life(stage.orders(play.crew, play.lane, name, work.own, about=work.about, rows=work.rows))
    last = {f"{step} after" for step in play.steps}
    async with stage.patience():
        while not last <= set(life.points()):
            await asyncio.sleep(LOOK_SECONDS)
    assert last <= set(life.points()), (life.points(), life.log())
    await stage.until_heard(work.own, play.heard)
    await asyncio.sleep(QUIET_SECONDS)
    life.kill()
    ending = await stage.ending(work.own)
    assert ending.heard == tuple(sorted(play.heard))
    return life.points(), ending


async def crashed(stage: Stage, play: Play, name: str, point: str) -> Work:
    """Work at which a process died."""
    work = await play.begin(stage)
    await Life(
        stage.orders(play.crew, play.lane, name, work.own, about=work.about, rows=work.rows, die_at=point)
    ).died()
    return work


@asynccontextmanager
async def surviving(stage: Stage) -> AsyncIterator[None]:
    """Processes of each service that live, and take whatever they are given."""
    crews = [crew_of(stage.orders(name, "", f"{name} that survive", "")) for name in ("books", "ticking", "relaying")]
    for crew in crews:
        await crew.start()
    yield
    for crew in crews:
        await crew.stop()


async def settled(stage: Stage, works: Works, wanted: Mapping[str, Ending]) -> dict[tuple[str, str], Ending]:
    """What is left of each piece of work that was crashed, once it is what it should be or time is up."""
    found: dict[tuple[str, str], Ending] = {}
    async with stage.patience():
        while not found or await stage.unsettled():
            found = {key: await stage.ending(work.own) for key, work in works.items()}
            if any(ending != wanted[play] for (play, _), ending in found.items()):
                found = {}
            await asyncio.sleep(LOOK_SECONDS)
    return {key: await stage.ending(work.own) for key, work in works.items()}


async def played(stage: Stage, names: Sequence[str], works: Works, wanted: dict[str, Ending]) -> None:
    """Plays one after the other: first whole, then with a death at each point."""
    for name in names:
        play = PLAYS[name]
        passed, wanted[name] = await uncrashed(stage, play, f"{name} whole")
        again, _ = await uncrashed(stage, play, f"{name} whole again")
        points = [point for point in passed if point in again]  # a busy database may have something repeated
        print(f"crash points, {name}: {len(points)}: {', '.join(points)}")
        for number, point in enumerate(points):
            works[name, point] = await crashed(stage, play, f"{name} {number}", point)


async def test_same_end(stage: Stage) -> None:
    """For each point of each play: the same rows, the same messages heard, and nothing that waits."""
    works: Works = {}
    wanted: dict[str, Ending] = {}
    in_turn: dict[str, list[str]] = {}
    for name, play in PLAYS.items():
        in_turn.setdefault(play.lane or play.crew, []).append(name)
    await asyncio.gather(*(played(stage, names, works, wanted) for names in in_turn.values()))
    print(f"crash points in all: {len(works)}")
    async with surviving(stage):
        found = await settled(stage, works, wanted)
        assert found == {(name, point): wanted[name] for name, point in works}
        assert not await stage.unsettled()
