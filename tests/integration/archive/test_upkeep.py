"""Days are closed once they are over, and dropped only when nothing can be lost by it."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from penstock_common.archive.archiver import Archiver, advance
from penstock_common.archive.day import read_day
from penstock_common.archive.layout import archived_days, data_key, data_name
from penstock_common.archive.upkeep import Retention, Upkeep, retention_of
from penstock_common.contracts.catalogue import RemoveModel
from penstock_common.db.dropping import days_kept, drop_outbox_day
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.objects import LocalObjects
from penstock_common.settings import ArchiveSettings
from penstock_common.topology import PLATFORM
from tests.support.archiving import SERVICE, Outbox, ago, archived, id_at, keys
from tests.support.databases import Databases

pytestmark = pytest.mark.integration

SETTINGS = ArchiveSettings(settle=0, hot_days=3, cold_days=10, audit_days=20)
OLD = ago(days=5).replace(hour=6)


def upkeep_in(local: LocalObjects, **settings: int | bool) -> Upkeep:
    """As a new process has it."""
    return Upkeep(local, PLATFORM, SERVICE, SETTINGS.model_copy(update=settings))


async def run(outbox: Outbox, local: LocalObjects, **settings: int | bool) -> None:
    """Everything that is due now."""
    now = datetime.now(UTC)
    await advance(local, outbox.source, now)
    await upkeep_in(local, **settings).run(outbox.source, now)


async def kept(outbox: Outbox, table: str = "outbox") -> list[date]:
    """Days of which the table has something."""
    return await days_kept(outbox.connection, SERVICE, table)


@pytest.mark.parametrize("partitioned", [True, False], ids=["partition", "default"])
async def test_a_day_past_its_time_is_in_the_archive_alone(
    outbox: Outbox, local: LocalObjects, partitioned: bool
) -> None:
    """Commands go with it; the younger day stays, closed."""
    young = ago(days=2).replace(hour=6)
    if partitioned:
        await outbox.make_partition(OLD)
    await outbox.say_many(OLD, 3)
    await outbox.say(OLD, RemoveModel(name="model"))
    await outbox.say(young)
    events = await outbox.events()
    await run(outbox, local)
    assert await kept(outbox) == [young.date()]
    assert await archived(local) == events
    closed = [(await read_day(local, SERVICE, day)).closed async for day in archived_days(local, SERVICE)]
    assert [each.count for each in closed if each] == [3, 1]


async def test_what_was_never_published_keeps_its_day(outbox: Outbox, local: LocalObjects) -> None:
    """A command as much as an event."""
    await outbox.say(OLD)
    await outbox.say(OLD, RemoveModel(name="model"), published=False)
    await run(outbox, local)
    assert await kept(outbox) == [OLD.date()]


async def test_what_is_late_by_days_is_archived_before_its_day_is_dropped(outbox: Outbox, local: LocalObjects) -> None:
    """The day was closed and is looked at once more."""
    await outbox.say_many(OLD, 3)
    await run(outbox, local, drop=False)
    late = await outbox.say(datetime.now(UTC), id_=id_at(OLD - timedelta(hours=1)))
    events = await outbox.events()
    await run(outbox, local)
    assert await kept(outbox) == []
    found = await archived(local)
    assert found == events
    assert found[0].id == late


async def test_a_day_whose_archive_is_damaged_is_mended_before_it_is_dropped(
    outbox: Outbox, local: LocalObjects
) -> None:
    """The outbox is what it is mended from."""
    await outbox.say_many(OLD, 3)
    events = await outbox.events()
    await run(outbox, local, drop=False)
    (segment,) = (await read_day(local, SERVICE, OLD.date())).segments
    path = local.folder / data_key(SERVICE, OLD.date(), segment.data)
    path.write_bytes(path.read_bytes()[:-9])
    await run(outbox, local)
    assert await kept(outbox) == []
    assert await archived(local) == events


async def test_nothing_is_dropped_unless_it_may_be(outbox: Outbox, local: LocalObjects) -> None:
    """By the setting; and a day that is young stays anyway."""
    await outbox.say(OLD)
    await run(outbox, local, drop=False)
    await run(outbox, local, hot_days=5)
    assert await kept(outbox) == [OLD.date()]
    assert [day async for day in archived_days(local, SERVICE)] == [OLD.date()]


async def test_the_inbox_knows_as_long_as_anything_can_be_said_again(outbox: Outbox, local: LocalObjects) -> None:
    """Its days go one after the outbox's here, where nothing is heard of other services."""
    days = [ago(days=n).date() for n in (6, 5, 4, 3, 0)]
    for day in days:
        await outbox.connection.execute(
            "insert into trial.inbox (day, consumer, message_id, fingerprint) values ($1, 'c', 'm', 'f')", day
        )
    await run(outbox, local)
    assert await kept(outbox, "inbox") == days[2:]


def test_retention_follows_who_hears_whom() -> None:
    """billing hears events that inference's archive has for a year; its own are kept for seven."""
    assert retention_of("billing", PLATFORM, ArchiveSettings()) == Retention(outbox=90, archive=2557, inbox=366)
    assert retention_of("trial", PLATFORM, ArchiveSettings()) == Retention(outbox=90, archive=365, inbox=91)


async def test_the_archive_ends_too(outbox: Outbox, local: LocalObjects) -> None:
    """Days past its time go, but for one that the outbox still has."""
    gone, held, young = (ago(days=n).replace(hour=6) for n in (30, 20, 4))
    for moment in (gone, held, young):
        await outbox.say(moment, published=moment != held)
    await run(outbox, local)
    assert await kept(outbox) == [held.date()]
    assert [day async for day in archived_days(local, SERVICE)] == [held.date(), young.date()]


async def test_what_a_dead_process_left_is_swept(outbox: Outbox, local: LocalObjects) -> None:
    """Contents without an index, of a day that is closed."""
    await outbox.say(OLD)
    stray = data_key(SERVICE, OLD.date(), data_name(1, uuid7()))
    await local.put(stray, b"half")
    await run(outbox, local, drop=False)
    assert stray not in await keys(local)
    assert await archived(local) == await outbox.events()


async def test_a_turn_does_what_is_due(outbox: Outbox, trial_url: str, tmp_path: Path) -> None:
    """As a service runs it, and with what it tells about itself."""
    local = LocalObjects(tmp_path / "archive")
    database = Database(trial_url, SERVICE, PLATFORM)
    archiver = Archiver(database, trial_url, local, SETTINGS)
    await outbox.say(ago(minutes=2))
    await outbox.say(OLD)
    await archiver.turn()
    assert len(await archived(local)) == 2
    assert await kept(outbox) == [ago(minutes=2).date()]
    await outbox.say(datetime.now(UTC))
    await asyncio.sleep(0.01)
    await archiver.turn()
    assert len(await archived(local)) == 3
    await database.close()


async def test_a_service_does_it_with_the_rights_that_it_has(platform_databases: Databases, tmp_path: Path) -> None:
    """Look, lock, read, drop: as the role of billing, which is no superuser."""
    local, url = LocalObjects(tmp_path / "archive"), platform_databases.services["billing"]
    connection = await asyncpg.connect(url)
    await Outbox(connection, "billing").make_partition(OLD)
    await Outbox(connection, "billing").say_many(OLD, 2)
    database = Database(url, "billing", PLATFORM)
    await Archiver(database, url, local, SETTINGS).turn()
    assert len(await archived(local)) == 2
    assert await days_kept(connection, "billing", "outbox") == []
    await database.close()
    await connection.close()


async def test_a_day_that_grew_since_it_was_counted_stays(outbox: Outbox) -> None:
    """What is asked under the lock decides."""
    await outbox.make_partition(OLD)
    await outbox.say_many(OLD, 3)
    assert "has 3 events" in await drop_outbox_day(outbox.connection, SERVICE, OLD.date(), archived=2)
    assert await kept(outbox) == [OLD.date()]
    assert not await drop_outbox_day(outbox.connection, SERVICE, OLD.date(), archived=3)
    assert await kept(outbox) == []


class Rotting(LocalObjects):
    """A disk that keeps nothing of one day as it was."""

    async def put(self, key: str, content: bytes) -> None:
        rotten = f"{OLD:%Y/%m/%d}" in key and key.endswith(".gz")
        await super().put(key, bytes(len(content)) if rotten else content)


async def test_a_day_that_can_not_be_closed_keeps_itself_and_no_other(outbox: Outbox, tmp_path: Path) -> None:
    """It stays in the outbox; the older one is dropped, the younger one closed."""
    older, younger = OLD - timedelta(days=1), ago(days=2).replace(hour=6)
    for moment in (older, OLD, younger):
        await outbox.say(moment)
    local = Rotting(tmp_path / "archive")
    await run(outbox, local)
    assert await kept(outbox) == [OLD.date(), younger.date()]
    closed = [day async for day in archived_days(local, SERVICE) if (await read_day(local, SERVICE, day)).closed]
    assert closed == [older.date(), younger.date()]
