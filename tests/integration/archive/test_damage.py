"""Damage is noticed, named and skipped; the rest is read; and while the outbox has it, a day is mended."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock_common.archive.archiver import advance
from penstock_common.archive.closing import close_day
from penstock_common.archive.damage import Damage
from penstock_common.archive.day import read_day
from penstock_common.archive.layout import closed_key, data_key, index_key
from penstock_common.archive.reading import archived_events
from penstock_common.archive.segment import Segment
from penstock_common.events.selection import Selection
from penstock_common.objects import LocalObjects
from tests.support.archiving import SERVICE, Outbox, ago, archived

pytestmark = pytest.mark.integration

DAY = ago(days=2).replace(hour=6)
ROWS = 1200  # members of 512, 512 and 176


@pytest.fixture
async def segments(outbox: Outbox, local: LocalObjects) -> list[Segment]:
    """Two segments of a day that is over: the first of three members."""
    await outbox.say_many(DAY, ROWS)
    await advance(local, outbox.source, datetime.now(UTC))
    await outbox.say_many(DAY + timedelta(hours=1), 5)
    await advance(local, outbox.source, datetime.now(UTC))
    return list((await read_day(local, SERVICE, DAY.date())).segments)


def flip(path: Path, offset: int) -> None:
    """One bit."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)


def flipped_data(data: Path, index: Path, segment: Segment) -> None:
    flip(data, segment.members[1].offset + 40)


def truncated(data: Path, index: Path, segment: Segment) -> None:
    data.write_bytes(data.read_bytes()[: segment.members[2].offset + 7])


def member_cut_out(data: Path, index: Path, segment: Segment) -> None:
    content, lost = data.read_bytes(), segment.members[1]
    data.write_bytes(content[: lost.offset] + content[lost.offset + lost.length :])


def data_gone(data: Path, index: Path, segment: Segment) -> None:
    data.unlink()


def index_gone(data: Path, index: Path, segment: Segment) -> None:
    index.unlink()


def index_flipped(data: Path, index: Path, segment: Segment) -> None:
    flip(index, len(index.read_bytes()) // 2)


def index_swapped(data: Path, index: Path, segment: Segment) -> None:
    index.write_bytes(index.with_name("000002.index.json").read_bytes())


CASES: list[tuple[Callable[[Path, Path, Segment], None], list[int | None], str, int]] = [
    (flipped_data, [2], "checksum", ROWS - 512),
    (truncated, [3], "ends after", ROWS - 176),
    (member_cut_out, [2, 3], "", 512),
    (data_gone, [None], "the contents are missing", 0),
    (index_gone, [None], "the index is missing", 0),
    (index_flipped, [None], "the index is damaged", 0),
    (index_swapped, [None], "another segment", 0),
]


def damage_first(local: LocalObjects, segment: Segment, how: Callable[[Path, Path, Segment], None]) -> None:
    """Do it to a segment."""
    data = local.folder / data_key(SERVICE, segment.day, segment.data)
    how(data, local.folder / index_key(SERVICE, segment.day, segment.number), segment)


@pytest.mark.parametrize(("how", "members", "reason", "left"), CASES, ids=[case[0].__name__ for case in CASES])
async def test_damage_is_named_skipped_and_mended(
    outbox: Outbox,
    local: LocalObjects,
    segments: list[Segment],
    how: Callable[[Path, Path, Segment], None],
    members: list[int | None],
    reason: str,
    left: int,
) -> None:
    """What is not damaged is read; closing the day archives the damaged part again, and then nothing is missing."""
    whole = await outbox.events()
    damage_first(local, segments[0], how)
    damaged: list[Damage] = []
    found = [event async for event in archived_events(local, Selection(), damaged.append)]
    assert [(damage.segment, damage.member) for damage in damaged] == [(1, member) for member in members]
    assert all(reason in damage.reason and "000001" in damage.key for damage in damaged)
    assert len(found) == left + 5
    assert [event for event in whole if event in found] == found
    closed = await close_day(local, outbox.source, DAY.date(), datetime.now(UTC))
    assert closed.count == ROWS + 5
    assert await archived(local) == whole


async def test_a_closed_day_knows_its_segments(outbox: Outbox, local: LocalObjects, segments: list[Segment]) -> None:
    """That its last one is gone with everything of it would go unnoticed while it grows."""
    await close_day(local, outbox.source, DAY.date(), datetime.now(UTC))
    for key in (index_key(SERVICE, DAY.date(), 2), data_key(SERVICE, DAY.date(), segments[1].data)):
        await local.delete(key)
    (damage,) = (await read_day(local, SERVICE, DAY.date())).damaged
    assert (damage.segment, damage.reason) == (2, "the index is missing")
    assert (await close_day(local, outbox.source, DAY.date(), datetime.now(UTC))).count == ROWS + 5
    assert await archived(local) == await outbox.events()


async def test_a_damaged_description_of_a_day_costs_no_event(
    outbox: Outbox, local: LocalObjects, segments: list[Segment]
) -> None:
    """It is named; the segments tell what there is."""
    await close_day(local, outbox.source, DAY.date(), datetime.now(UTC))
    flip(local.folder / closed_key(SERVICE, DAY.date()), 200)
    damaged: list[Damage] = []
    found = [event async for event in archived_events(local, Selection(), damaged.append)]
    assert len(found) == ROWS + 5
    assert ["description" in damage.reason for damage in damaged] == [True]


async def test_another_days_segment_is_not_taken_for_it(
    outbox: Outbox, local: LocalObjects, segments: list[Segment]
) -> None:
    """Contents and index of a closed day that were exchanged for others of the same number."""
    await close_day(local, outbox.source, DAY.date(), datetime.now(UTC))
    for name in (index_key(SERVICE, DAY.date(), 2), data_key(SERVICE, DAY.date(), segments[1].data)):
        await local.delete(name)
    await outbox.connection.execute("delete from trial.outbox where id > $1", segments[1].first)
    await advance(local, outbox.source, datetime.now(UTC))
    assert "not the contents" in (await read_day(local, SERVICE, DAY.date())).damaged[0].reason
