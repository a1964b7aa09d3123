"""Schedules are saved, paused and removed once, whatever the order and number of deliveries."""

from datetime import timedelta

import msgspec
import pytest

from penstock_common.contracts.schedules import Cadence, ReadSchedules, RemoveSchedule, ScheduleChanged, Timing
from penstock_common.ids import uuid7
from tests.support.scheduling import EVERY_MINUTE, NOON, TENANT, Scheduler, every, once

pytestmark = pytest.mark.integration


async def test_a_schedule_is_saved_once(scheduler: Scheduler) -> None:
    """A redelivery changes nothing; its owner sees all of it, the input included."""
    command = scheduler.saving(given={"url": "http://127.0.0.1/"}, name="every minute")
    await scheduler.receive(command, times=2)
    shown = await scheduler.shown(command.schedule_id)
    assert shown is not None
    assert (shown.name, shown.version, shown.next_at) == ("every minute", 1, NOON + timedelta(minutes=1))
    assert msgspec.json.decode(shown.input) == {"url": "http://127.0.0.1/"}
    changes = await scheduler.said(ScheduleChanged)
    assert changes == [ScheduleChanged(schedule_id=command.schedule_id, tenant=TENANT, version=1)]


async def test_the_newest_command_wins(scheduler: Scheduler) -> None:
    """An older one that comes later is ignored, and tells nobody."""
    old = scheduler.saving(name="old")
    scheduler.clock.move(seconds=1)
    await scheduler.receive(scheduler.saving(name="new", schedule_id=old.schedule_id))
    await scheduler.receive(old)
    shown = await scheduler.shown(old.schedule_id)
    assert shown
    assert (shown.name, shown.version) == ("new", 1)
    assert len(await scheduler.said(ScheduleChanged)) == 1


async def test_a_removed_schedule_stays_removed(scheduler: Scheduler) -> None:
    """Also where the command to save it comes after the one to remove it."""
    command = scheduler.saving()
    removal = RemoveSchedule(schedule_id=command.schedule_id, tenant=TENANT, removed_at=NOON)
    await scheduler.receive(command)
    await scheduler.receive(removal, times=2)
    scheduler.clock.move(seconds=1)
    await scheduler.receive(scheduler.saving(schedule_id=command.schedule_id))
    assert await scheduler.shown(command.schedule_id) is None
    assert [(c.version, c.removed) for c in await scheduler.said(ScheduleChanged)] == [(1, False), (2, True)]
    await scheduler.tick(minutes=5)
    assert await scheduler.orders() == []


async def test_another_tenant_can_neither_see_nor_change_it(scheduler: Scheduler) -> None:
    """Even one that learnt its id."""
    id_ = await scheduler.save()
    stranger = uuid7()
    scheduler.clock.move(seconds=1)
    await scheduler.receive(scheduler.saving(schedule_id=id_, tenant=stranger, name="mine"))
    await scheduler.receive(RemoveSchedule(schedule_id=id_, tenant=stranger, removed_at=scheduler.clock.now()))
    assert await scheduler.shown(id_, stranger) is None
    shown = await scheduler.shown(id_)
    assert shown
    assert shown.name == "probe"


async def test_a_pause_is_not_caught_up(scheduler: Scheduler) -> None:
    """Nothing fires while it lasts, nor for it afterwards."""
    id_ = await scheduler.save()
    await scheduler.tick(minutes=1)
    await scheduler.save(schedule_id=id_, paused=True)
    await scheduler.tick(minutes=30)
    await scheduler.save(schedule_id=id_, paused=False)
    await scheduler.tick(seconds=59)
    assert await scheduler.ticks(id_) == [NOON + timedelta(minutes=1)]
    await scheduler.tick(seconds=1)
    assert await scheduler.ticks(id_) == [NOON + timedelta(minutes=minutes) for minutes in (1, 32)]


async def test_a_one_shot_that_fired_does_not_fire_again(scheduler: Scheduler) -> None:
    """Paused, resumed or renamed within the grace: the tick is there already."""
    id_ = await scheduler.save(once(NOON + timedelta(seconds=10)))
    await scheduler.tick(seconds=11)
    for paused in (True, False):
        scheduler.clock.move(seconds=1)
        await scheduler.save(once(NOON + timedelta(seconds=10)), schedule_id=id_, paused=paused)
    await scheduler.tick(seconds=30)
    assert len(await scheduler.orders()) == 1


async def test_a_new_timing_counts_from_its_saving(scheduler: Scheduler) -> None:
    """What the old one had still to catch up is dropped; an interval without a start begins there."""
    id_ = await scheduler.save()
    scheduler.clock.move(minutes=30)
    await scheduler.save(every(3600), schedule_id=id_)
    await scheduler.tick(hours=1)
    assert await scheduler.ticks(id_) == [NOON + timedelta(minutes=90)]


async def test_a_command_that_can_not_be_is_buried(scheduler: Scheduler) -> None:
    """Whoever sent it past the API's checks; others go on."""
    await scheduler.receive(scheduler.saving(Timing(Cadence.CRON, "0 0 31 2 *")))
    (reason,) = scheduler.settler.buried.values()
    assert "31" in reason
    await scheduler.save()
    await scheduler.tick(minutes=1)
    assert len(await scheduler.orders()) == 1


async def test_schedules_are_listed_by_age_in_pages(scheduler: Scheduler) -> None:
    """Without their inputs, and with their number."""
    ids = [await scheduler.save(EVERY_MINUTE, name=str(number)) for number in range(5)]
    await scheduler.save(tenant=uuid7())
    page = await scheduler.reader.read(ReadSchedules(tenant=TENANT, after=ids[1], limit=2))
    assert ([s.name for s in page.schedules], page.total) == (["2", "3"], 5)
    assert page.schedules[0].input is None


async def test_a_change_is_looked_at_at_once(scheduler: Scheduler) -> None:
    """The ticker is nudged after each commit, and not by what changed nothing."""
    command = scheduler.saving()
    await scheduler.receive(command, times=2)
    await scheduler.receive(RemoveSchedule(schedule_id=command.schedule_id, tenant=TENANT, removed_at=NOON))
    assert scheduler.nudges == 2
