"""Killed at each publish and at each note of how far it is, a replay goes on; nothing is missing, nothing is twice."""

import signal
from pathlib import Path

import pytest

from tests.integration.replay.dying import lived, points_in
from tests.integration.replay.stage import Stage, completions

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

EVENTS = 3


async def test_killed_anywhere_it_goes_on(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each point of an act that nobody kills, one after the other, on events of its own."""
    async with stage.at_work():
        points = await points_of(stage, tmp_path)
        for point in points:
            events = completions(EVENTS)
            ids = await stage.said(*events)
            file, kept = stage.act(ids)
            file.save(kept)
            assert await lived(file.path, stage.places, tmp_path, die_at=point) == -signal.SIGKILL, point
            assert await lived(file.path, stage.places, tmp_path) == 0, point
            await stage.until_charged(events)
            act, ended = str(kept.plan.act), file.load()
            assert (ended.done, ended.published) == (True, EVENTS), point
            assert {id_ for heard, id_ in stage.heard if heard == act} == set(ids), point
            assert await stage.charged(events) == [1] * EVENTS, point
    with capsys.disabled():
        print(f"\n  {len(points)} points of a replay")


async def points_of(stage: Stage, folder: Path) -> list[str]:
    """The points of an act of as many events, which it reaches in this order."""
    file, kept = stage.act(await stage.said(*completions(EVENTS)))
    file.save(kept)
    assert await lived(file.path, stage.places, folder) == 0
    points = points_in(folder)
    assert {point.split()[0] for point in points} == {"word", "publish", "save"}
    assert (
        len(points) == 2 + 2 + 4 + 1
    )  # begun and done; two bursts; before, after each and at the end; when all is over
    return points
