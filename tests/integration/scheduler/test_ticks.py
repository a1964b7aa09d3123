"""Moments become ticks and orders, each of them once."""

import asyncio
from datetime import timedelta

import pytest

from penstock_common.contracts.runs import StartRun, Trigger
from penstock_scheduler.ticking.ticker import BUDGET
from tests.support.scheduling import (
    ALL,
    EVERY_MINUTE,
    KEY,
    LATEST,
    NOON,
    SKIP,
    TENANT,
    Scheduler,
    every,
    once,
    scheduler_process,
)

pytestmark = pytest.mark.integration


async def test_a_tick_orders_its_run(scheduler: Scheduler) -> None:
    """With the schedule's task and input, sealed for the run; the message id is made of the run's."""
    id_ = await scheduler.save(given={"url": "http://x/"})
    await scheduler.tick(seconds=60)
    (order,) = await scheduler.said(StartRun)
    assert (order.trigger, order.source_id, order.task) == (Trigger.SCHEDULE, str(id_), "probe")
    assert (order.tenant, order.key_id, order.due_at) == (TENANT, KEY, NOON + timedelta(minutes=1))
    assert scheduler.input_of(order) == {"task": None, "input": {"url": "http://x/"}}
    ids = await scheduler.fetch("select message_id from scheduler.outbox where subject like 'cmd.%'")
    assert ids == [f"{order.run_id}.start"]
    shown = await scheduler.shown(id_)
    assert shown
    assert (shown.last_at, shown.last_run_id, shown.next_at) == (
        order.due_at,
        order.run_id,
        NOON + timedelta(minutes=2),
    )


async def test_several_processes_fire_each_tick_once(scheduler: Scheduler) -> None:
    """All at the same moments, on the same schedules."""
    ids = [await scheduler.save(every(5)) for _ in range(100)]
    async with scheduler_process(scheduler.url, scheduler.keyring) as second:
        second.clock = second.ticker.clock = scheduler.clock
        for _ in range(4):
            scheduler.clock.move(seconds=5)
            await asyncio.gather(*(process.tick() for process in (scheduler, second, scheduler, second)))
    assert len(await scheduler.orders()) == 400
    for id_ in ids:
        assert await scheduler.ticks(id_) == [NOON + timedelta(seconds=s) for s in (5, 10, 15, 20)]


@pytest.mark.parametrize(("misfire", "count"), [(SKIP, 2), (LATEST, 1), (ALL, 10)])
async def test_downtime_is_caught_up_as_the_schedule_says(scheduler: Scheduler, misfire: str, count: int) -> None:
    """Nobody ran for ten minutes; then it goes on as before."""
    id_ = await scheduler.save(misfire=misfire)
    await scheduler.tick(minutes=10)
    await scheduler.tick(minutes=1)
    fired = await scheduler.ticks(id_)
    assert fired == [NOON + timedelta(minutes=m) for m in range(12 - len(fired), 12)]
    assert len(fired) == count + 1


async def test_a_large_catch_up_is_cut_into_transactions(scheduler: Scheduler) -> None:
    """What one of them leaves over, the next one takes."""
    large = "x" * 60_000
    ids = [await scheduler.save(given=large, misfire=ALL) for _ in range(3)]
    scheduler.clock.move(minutes=100)
    turns = 0
    while await scheduler.ticker.turn():
        turns += 1
    assert turns == 3 > 3 * 100 * len(large) / BUDGET / 3
    assert [len(await scheduler.ticks(id_)) for id_ in ids] == [100, 100, 100]


async def test_what_was_erased_fires_no_more(scheduler: Scheduler) -> None:
    """Its owner sees it without its input, and nothing crashes."""
    id_ = await scheduler.save(given="secret")
    scheduler.sealer.keyring.erase(TENANT)
    scheduler.sealer.forget(TENANT)
    await scheduler.tick(minutes=1)
    shown = await scheduler.shown(id_)
    assert shown
    assert (shown.input, await scheduler.ticks(id_)) == (None, [])


async def test_a_schedule_that_can_not_be_carried_out_rests(scheduler: Scheduler) -> None:
    """For a minute, and then its ticks are caught up; others don't wait for it."""
    broken = await scheduler.save(misfire=ALL)
    good = await scheduler.save()
    await scheduler.execute("update scheduler.schedules set sealed = 'rubbish' where id = :id", id=broken)
    await scheduler.tick(minutes=1)
    assert await scheduler.ticks(broken) == []
    assert await scheduler.ticks(good) == [NOON + timedelta(minutes=1)]
    assert await scheduler.schedules.earliest() == NOON + timedelta(minutes=2)
    await scheduler.execute("update scheduler.schedules set sealed = '' where id = :id", id=broken)
    await scheduler.tick(minutes=1)
    assert await scheduler.ticks(broken) == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]


async def test_a_process_sleeps_until_something_is_due(scheduler: Scheduler) -> None:
    """Nothing, then the earliest of several; a nudge wakes it."""
    assert await scheduler.schedules.earliest() is None
    await scheduler.save(once(NOON + timedelta(hours=1)))
    await scheduler.save(EVERY_MINUTE)
    assert await scheduler.schedules.earliest() == NOON + timedelta(minutes=1)
    scheduler.ticker.longest_sleep = 60.0
    scheduler.ticker.start()
    await asyncio.sleep(0.2)
    scheduler.clock.move(minutes=1)
    assert await scheduler.orders() == []
    scheduler.ticker.nudge()
    async with asyncio.timeout(5):
        while not await scheduler.orders():
            await asyncio.sleep(0.02)
    await scheduler.ticker.stop()
    assert not scheduler.ticker.is_alive


async def test_old_ticks_are_let_go(scheduler: Scheduler) -> None:
    """Those that nothing can repeat; younger ones stay."""
    id_ = await scheduler.save()
    await scheduler.tick(minutes=1)
    await scheduler.tick(minutes=1)
    await scheduler.schedules.forget(NOON + timedelta(minutes=2))
    assert await scheduler.ticks(id_) == [NOON + timedelta(minutes=2)]
