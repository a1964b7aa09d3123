"""Events get into the archive as they are, each once, whoever dies on the way."""

import asyncio
import json
import subprocess
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from penstock_common.archive import writing
from penstock_common.archive.archiver import advance
from penstock_common.archive.closing import catch_up
from penstock_common.archive.day import read_day
from penstock_common.archive.layout import data_key
from penstock_common.archive.segment import Segment
from penstock_common.archive.source import archiving
from penstock_common.archive.writing import Draft, Overtaken
from penstock_common.contracts.catalogue import RemoveModel
from penstock_common.events.selection import Selection
from penstock_common.ids import uuid7
from penstock_common.objects import LocalObjects, Objects
from tests.support.archiving import SERVICE, Outbox, ago, archived, counted, id_at, key_created, key_revoked, keys

pytestmark = pytest.mark.integration


def now() -> datetime:
    return datetime.now(UTC)


async def test_events_come_back_as_they_were(outbox: Outbox, objects: Objects) -> None:
    """Bytes, headers and times; over days, in their order. What asks for something stays where it is."""
    for hours in (50, 26, 25, 2, 1):
        await outbox.say(ago(hours=hours))
    await outbox.say(ago(hours=3), RemoveModel(name="secret-model"))
    await outbox.say(ago(minutes=1), published=False)
    last = await advance(objects, outbox.source, now())
    stored = await outbox.events()
    assert await archived(objects) == stored
    assert (len(stored), last) == (6, stored[-1].id)


async def test_what_is_archived_is_not_archived_again(outbox: Outbox, objects: Objects) -> None:
    """A turn goes on where the one before it ended, also in the middle of a day."""
    await outbox.say_many(ago(hours=2), 3)
    await advance(objects, outbox.source, now())
    known = await keys(objects)
    await advance(objects, outbox.source, now())
    assert await keys(objects) == known
    await outbox.say_many(ago(hours=1), 2)
    await advance(objects, outbox.source, now())
    assert await archived(objects) == await outbox.events()
    assert await counted(objects) == 5
    assert len(await keys(objects)) == len(known) + 2


async def test_any_tool_reads_it(outbox: Outbox, local: LocalObjects) -> None:
    """`zcat` gives lines of CloudEvents, over the borders of members too."""
    ids = await outbox.say_many(ago(hours=2), 700)
    await advance(local, outbox.source, now())
    (segment,) = (await read_day(local, SERVICE, ago(hours=2).date())).segments
    path = local.folder / data_key(SERVICE, segment.day, segment.data)
    lines = subprocess.run(["zcat", path], check=True, capture_output=True, text=True).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["outboxrow"] for event in events] == [str(id_) for id_ in ids]
    assert {(e["specversion"], e["type"], type(e["data"])) for e in events} == {
        ("1.0", "penstock.api.key.revoked.v1", dict)
    }
    assert [member.count for member in segment.members] == [512, 188]


async def test_the_index_says_what_is_where(outbox: Outbox, objects: Objects) -> None:
    """Offsets, ids, times, topics and tenants, so that reading may leave members out."""
    tenant = uuid7()
    begun = ago(hours=2)
    first = await outbox.say(begun, key_revoked(tenant))
    last = await outbox.say(begun + timedelta(seconds=1), key_created())
    await advance(objects, outbox.source, now())
    (segment,) = (await read_day(objects, SERVICE, begun.date())).segments
    (member,) = segment.members
    assert (member.offset, member.length, member.count) == (0, segment.bytes, 2)
    assert (member.first, member.last) == (segment.first, segment.last) == (first, last)
    assert abs(member.first_at - begun) < timedelta(milliseconds=2)
    assert member.subjects == {"api.key.created.v1": 1, "api.key.revoked.v1": 1}
    assert str(tenant) in (member.tenants or ())
    assert [event.id for event in await archived(objects, Selection(tenant=tenant))] == [first]
    assert [e.id for e in await archived(objects, Selection(subjects=("api.*.created.*",)))] == [last]


async def test_what_an_open_transaction_may_still_add_is_waited_for(
    outbox: Outbox, objects: Objects, trial_url: str
) -> None:
    """A row with an older id that is committed last is in its place, and was not passed by."""
    slow = await asyncpg.connect(trial_url)
    transaction = slow.transaction()
    await transaction.start()
    mine = await Outbox(slow).say(now())
    await asyncio.sleep(0.01)
    younger = await outbox.say(now())
    async with archiving(trial_url, SERVICE) as source:
        assert source
        assert (await advance(objects, source, await source.settled(0))).int == 0
        await transaction.commit()
        assert await advance(objects, source, await source.settled(0)) == younger
    await slow.close()
    assert [event.id for event in await archived(objects)] == [mine, younger]


async def test_what_comes_late_all_the_same_is_found(outbox: Outbox, objects: Objects) -> None:
    """An end that was held back while the database was away has an id from before what is archived."""
    early = ago(minutes=30)
    ids = await outbox.say_many(early, 3)
    await advance(objects, outbox.source, now())
    late = await outbox.say(now(), id_=id_at(early - timedelta(seconds=5)))
    await advance(objects, outbox.source, now())
    assert [event.id for event in await archived(objects)] == ids
    assert await catch_up(objects, outbox.source, early.date(), now()) == 1
    assert await catch_up(objects, outbox.source, early.date(), now()) == 0
    await outbox.say(ago(minutes=10))
    await advance(objects, outbox.source, now())
    assert [event.id for event in await archived(objects)][:4] == [late, *ids]
    assert await archived(objects) == await outbox.events()
    assert await counted(objects) == 5


async def test_one_process_of_a_service_archives(trial_url: str) -> None:
    """The others come back later."""
    async with archiving(trial_url, SERVICE) as first, archiving(trial_url, SERVICE) as second:
        assert first
        assert second is None
        async with archiving(trial_url, "billing") as other:
            assert other
    async with archiving(trial_url, SERVICE) as again:
        assert again


async def test_a_process_that_slept_changes_nothing(outbox: Outbox, objects: Objects) -> None:
    """Its lock is gone and others went on: its segment is refused, and leaves nothing."""
    await outbox.say_many(ago(minutes=30), 2)
    events = await outbox.events()
    slept = Draft(SERVICE, events[0].day, 1)
    await slept.add(events[0])
    await advance(objects, outbox.source, now())
    known = await keys(objects)
    with pytest.raises(Overtaken):
        await slept.write(objects)
    assert await keys(objects) == known
    assert await archived(objects) == events


async def test_an_empty_outbox_is_no_failure(outbox: Outbox, objects: Objects) -> None:
    """Nor is an archive that nobody wrote to."""
    assert (await advance(objects, outbox.source, now())).int == 0
    assert await archived(objects) == []


async def test_memory_is_bounded_by_segments(outbox: Outbox, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much waits: a segment is written as soon as it is large enough, and the next one begins."""
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 60_000)
    day = ago(hours=30)
    await outbox.say_many(day, 3000)
    await advance(objects, outbox.source, now())
    segments = [s for d in {day.date(), (day + timedelta(seconds=3)).date()} for s in await segments_of(objects, d)]
    assert len(segments) > 2
    assert all(segment.bytes < 60_000 + max(member.length for member in segment.members) for segment in segments)
    assert await archived(objects) == await outbox.events()


async def segments_of(objects: Objects, day: date) -> tuple[Segment, ...]:
    """Of a day."""
    return (await read_day(objects, SERVICE, day)).segments
