"""Looks that follow one another: each reads what is new, and none forgets what lacked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.auditing.notes import load
from penstock.auditing.place import Place
from penstock.auditing.run import CannotAudit
from penstock.auditing.watch import Watch
from penstock_common.ids import uuid7
from penstock_common.topology import GENERATION_COMPLETED, SAVE_TASK
from tests.support.audited import Audited, consumer, named, tally

pytestmark = pytest.mark.integration

SAVE, API = consumer("worker-save-task"), consumer("api-on-generation-completed")
BILLING = consumer("billing-on-generation-completed")


async def test_what_lacked_is_followed_until_it_is_done(world: Audited) -> None:
    """Also far below what later looks read; then it is gone from the notes."""
    said = await world.say(SAVE_TASK, ago=timedelta(minutes=30))
    assert named(await world.again()) == {(SAVE.name, said.id)}
    assert world.notes.through["api"] > world.notes.open[0].id
    assert named(await world.again()) == {(SAVE.name, said.id)}
    await world.handle(SAVE, said)
    report = await world.again()
    assert (report.clean, world.notes.open, tally(report, SAVE).done) == (True, [], 1)


async def test_nothing_is_counted_twice(world: Audited) -> None:
    """What is above the notes' place now is below it later."""
    for ago in (1, 1.5, 3, 10):
        await world.handle(SAVE, await world.say(SAVE_TASK, ago=timedelta(minutes=ago)))
    counts = [
        (tally(report, SAVE).published, tally(report, SAVE).done) for report in [await world.again() for _ in "123"]
    ]
    assert counts == [(4, 4)] * 3


async def test_a_row_that_is_committed_late_is_found_when_its_day_is_closed(world: Audited) -> None:
    """A look reads what is above its place; the day as a whole is compared once it is over."""
    world.notes.since -= timedelta(days=1)
    ago = timedelta(hours=48)  # whatever time it is, a day that is over
    day = (datetime.now(UTC) - ago).date()
    await world.handle(SAVE, await world.say(SAVE_TASK, ago=ago))
    assert (await world.again()).clean
    assert day in world.notes.closed
    world.notes.closed.remove(day)
    late = await world.say(SAVE_TASK, ago=ago)
    report = await world.again()
    assert named(report) == {(SAVE.name, late.id)}
    assert tally(report, SAVE).published == 2


async def test_a_closed_day_is_read_no_more(world: Audited) -> None:
    """What balanced stays balanced: later looks ask for nothing of it."""
    ago = timedelta(hours=48)
    world.notes.since -= timedelta(days=1)
    said = await world.say(SAVE_TASK, ago=ago)
    await world.handle(SAVE, said)
    assert tally(await world.again(), SAVE).done == 1
    assert said.day in world.notes.closed
    await world.connection.execute(f"drop table api.outbox_{said.day:%Y%m%d}, worker.inbox_{said.day:%Y%m%d}")
    assert tally(await world.again(), SAVE).done == 1


FILL = """
with n as (select cast(left(cast($1::uuid as text), 24) || lpad(to_hex(n), 12, '0') as uuid) as id
           from generate_series(1, 6000) n)
insert into inference.outbox (day, id, subject, stream, message_id, headers, body, published_at)
select $2, id, $3, 'INFERENCE', id || '.completed', '{}', '', $4 from n
"""
FILLED = """
insert into {service}.inbox select day, '{consumer}', message_id, '' from inference.outbox
"""
LOSE = """
delete from billing.inbox where message_id in (select message_id from inference.outbox order by id limit 3)
returning message_id
"""
UNSAY = "delete from inference.outbox where message_id = (select max(message_id) from inference.outbox)"


async def test_many_messages_are_compared_as_sets(world: Audited) -> None:
    """Above what is looked up one by one: all done, then three lost and one nobody said."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    first = uuid7(int(at.timestamp() * 1000))
    await world.connection.execute(FILL, first, at.date(), GENERATION_COMPLETED.subject, at)
    for lane in (API, BILLING):
        await world.connection.execute(FILLED.format(service=lane.service, consumer=lane.name))
    report = await world.once()
    assert (report.clean, tally(report, API).done) == (True, 6000)
    lost = await world.connection.fetch(LOSE)
    await world.connection.execute(UNSAY)
    report = await world.once()
    assert named(report) == {(BILLING.name, row["message_id"]) for row in lost}
    assert {odd.consumer for odd in report.unsaid} == {API.name, BILLING.name}


async def test_more_than_can_be_named_is_counted(world: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is down for a day: the next look begins at the same place, and forgets nobody."""
    monkeypatch.setattr("penstock.auditing.look.MOST", 2)
    monkeypatch.setattr("penstock.auditing.statements.MOST", 2)
    said = [await world.say(SAVE_TASK) for _ in range(5)]
    for _ in range(2):
        found = tally(await world.again(), SAVE)
        assert (found.published, found.waiting + found.missing, found.done) == (5, 5, 0)
    await world.handle(SAVE, *said)
    found = tally(await world.again(), SAVE)
    assert (found.published, found.done) == (5, 5)


async def test_another_process_goes_on_where_this_one_was(world: Audited, tmp_path: Path) -> None:
    """Notes, report and metrics lie in a folder; notes that are broken are begun anew."""
    place = Place.of(tmp_path)
    said = await world.say(SAVE_TASK)
    await Watch(world.work(), place).look()
    assert json.loads(place.report.read_text())["missing"][0]["message_id"] == said.id
    assert f'penstock_audit_messages{{consumer="{SAVE.name}",state="missing"}} 1.0' in place.metrics.read_text()
    kept = load(place.notes)
    assert kept is not None
    assert [entry.message_id for entry in kept.open] == [said.id]
    await world.handle(SAVE, said)
    report = await Watch(world.work(), place).look()
    assert (report.clean, tally(report, SAVE).done) == (True, 1)
    place.notes.write_text("{")
    assert (await Watch(world.work(), place).look()).clean


async def test_a_folder_that_can_not_be_written_is_named(world: Audited, tmp_path: Path) -> None:
    """A watch says so and looks again; it does not end."""
    (tmp_path / "audit").touch()
    with pytest.raises(CannotAudit, match=f"can't be kept in {tmp_path}/audit"):
        await Watch(world.work(), Place.of(tmp_path)).look()


async def test_a_snapshot_that_fails_leaves_the_notes_alone(world: Audited, tmp_path: Path) -> None:
    """Half a look is none: the next one begins where the last whole one ended."""
    place = Place.of(tmp_path)
    await Watch(world.work(), place).look()
    before = place.notes.read_bytes()
    await world.connection.execute("alter table api.dead_letters rename to hidden")
    with pytest.raises(Exception, match="penstock migrate"):
        await Watch(world.work(), place).look()
    await world.connection.execute("alter table api.hidden rename to dead_letters")
    assert place.notes.read_bytes() == before
