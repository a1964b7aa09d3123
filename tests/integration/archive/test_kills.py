"""An archiver that is killed after each of its durable writes: the next one goes on, skips nothing, doubles nothing."""

import itertools
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from penstock_common.archive.layout import CLOSED, INDEX
from penstock_common.db.dropping import days_kept
from penstock_common.objects import LocalObjects
from tests.support import dying_archiver
from tests.support.archiving import SERVICE, Outbox, ago, archived, counted, id_at
from tests.support.forks import lived

pytestmark = pytest.mark.integration

OLD = ago(days=5).replace(hour=6)


async def killed(url: str, local: LocalObjects, writes: int, told: Path) -> str:
    """Archive until it is killed; returns what was written last, nothing where it came to its end."""
    code = await lived(dying_archiver.main, url, str(local.folder), writes, told)
    assert code in (-signal.SIGKILL, 0)
    return told.read_text() if code else ""


def kind_of(name: str) -> str:
    """What an object is."""
    return "closed" if name == CLOSED else "index" if INDEX.fullmatch(name) else "contents"


async def test_killed_after_each_write(outbox: Outbox, local: LocalObjects, trial_url: str, tmp_path: Path) -> None:
    """Contents and index of two days, the late segment's, the description of the day that is over; then it is dropped.

    Contents without an index do not count, so each second process comes one write further.
    """
    await outbox.make_partition(OLD)
    await outbox.say_many(OLD, 600)
    await outbox.say_many(ago(minutes=5), 3)
    writes: list[str] = []
    for allowed in itertools.cycle((1, 2)):
        if not (written := await killed(trial_url, local, allowed, tmp_path / "written")):
            break
        writes.append(kind_of(written))
        if writes == ["contents", "index"] * 2:
            await outbox.say(ago(minutes=1), id_=id_at(OLD - timedelta(minutes=1)))
            events = await outbox.events()
    assert writes == [*("contents", "index") * 3, "closed"]
    assert await archived(local) == events
    assert await counted(local) == 604
    assert await days_kept(outbox.connection, SERVICE, "outbox") == [ago(minutes=5).date()]
