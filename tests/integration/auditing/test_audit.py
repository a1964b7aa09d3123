"""What was said is done, dead, under way or missing; whoever is missing is named, and nobody else."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from penstock.auditing.judging import Rules
from penstock_common.ids import uuid7
from penstock_common.topology import (
    ADD_DOCUMENT,
    BATCH_TEXT,
    CATALOGUE_CHANGED,
    GENERATION_COMPLETED,
    REMOVE_TASK,
    SAVE_TASK,
)
from tests.support.audited import Audited, as_data, consumer, eventually, named, tally
from tests.support.records import penstock

pytestmark = pytest.mark.integration

BILLING, API = consumer("billing-on-generation-completed"), consumer("api-on-generation-completed")
SAVE, REMOVE = consumer("worker-save-task"), consumer("worker-remove-task")
ADD, BATCH = consumer("indexer-add-document"), consumer("inference-batch-text")
GENERATION = """
insert into inference.generations (request_id, attempt, outcome, tenant, key_id, model, streamed, lane, accepted_at,
    deadline) values ($1, 1, $2, $1, $1, 'm', false, 'batch', now(), now() + $3::interval)
"""
REQUEST = """
insert into api.requests (request_id, tenant, key_id, model, streamed, lane, status, accepted_at, deadline)
values ($1, $1, $1, 'm', false, 'interactive', $2, now(), now() + $3::interval)
"""


async def test_each_consumer_balances_by_itself(on_both: Audited) -> None:
    """Two hear the same; what one of them lacks is missing for that one alone, with topic, time and what to do."""
    told = [await on_both.say(GENERATION_COMPLETED) for _ in range(4)]
    await on_both.handle(API, *told)
    await on_both.handle(BILLING, *told[:2])
    await on_both.bury(BILLING, told[2])
    report = await on_both.once()
    assert (tally(report, API).done, tally(report, API).missing) == (4, 0)
    billed = tally(report, BILLING)
    assert (billed.published, billed.done, billed.dead, billed.waiting, billed.missing) == (4, 2, 1, 0, 1)
    (missing,) = as_data(report)["missing"]
    assert named(report) == {(BILLING.name, told[3].id)}
    assert missing["mend"] == f"penstock events replay --id {told[3].id} --to {BILLING.name} --effects allow"
    assert missing["topic"] == GENERATION_COMPLETED.subject
    assert datetime.fromisoformat(missing["said_at"]) == told[3].at.replace(
        microsecond=told[3].at.microsecond // 1000 * 1000
    )


async def test_what_the_bus_still_has_is_under_way(on_both: Audited) -> None:
    """However old it is; once the bus lost it, it is missing."""
    waiting, lost = await on_both.say(SAVE_TASK, ago=timedelta(hours=3)), await on_both.say(REMOVE_TASK)
    await on_both.publish(waiting)

    async def both() -> bool:
        return named(await on_both.once()) == {(REMOVE.name, lost.id)}

    await eventually(both)  # RabbitMQ counts what it has now and then
    report = await on_both.once()
    assert (tally(report, SAVE).waiting, tally(report, SAVE).missing) == (1, 0)


async def test_what_is_young_is_never_missing(world: Audited) -> None:
    """Unpublished, just published, or marked as published late."""
    await world.say(SAVE_TASK, published=False)
    await world.say(SAVE_TASK, ago=timedelta(seconds=20))
    report = await world.once()
    assert report.clean
    assert (tally(report, SAVE).waiting, report.unpublished) == (2, 1)


async def test_a_lost_mark_of_publication_is_no_loss(world: Audited) -> None:
    """The relay does not flush its marks: a row without one may have been handled."""
    said = await world.say(SAVE_TASK, published=False)
    await world.handle(SAVE, said)
    report = await world.once()
    assert (report.clean, tally(report, SAVE).done, report.unpublished) == (True, 1, 0)


async def test_absence_is_confirmed_before_it_counts(world: Audited) -> None:
    """One look at the bus is not enough; the command looks again."""
    said = await world.say(SAVE_TASK)
    patient = Rules(settle=60, confirm=1.5)
    assert (await world.once(rules=patient)).doubted == 1
    assert named(await world.once(rules=patient, settle=6)) == {(SAVE.name, said.id)}


async def test_what_nobody_said_is_found(world: Audited) -> None:
    """An inbox row without an outbox row, beside many that have one; and one under a wrong day."""
    said = [await world.say(CATALOGUE_CHANGED) for _ in range(3)]
    other = consumer("billing-on-catalogue-changed")
    await world.handle(consumer("api-on-catalogue-changed"), *said)
    await world.handle(other, *said)
    await world.connection.execute("delete from inference.outbox where message_id = $1", said[1].id)
    await world.handle(consumer("api-on-catalogue-changed"), said[2], day=said[2].day - timedelta(days=1))
    report = await world.once()
    assert {(odd.consumer, odd.message_id) for odd in report.unsaid} == {
        ("api-on-catalogue-changed", said[1].id),
        (other.name, said[1].id),
    }
    assert [(odd.consumer, odd.message_id) for odd in report.twice] == [("api-on-catalogue-changed", said[2].id)]
    assert not report.clean


async def test_what_was_said_twice_is_found(world: Audited) -> None:
    """Two outbox rows under one id."""
    said = await world.say(SAVE_TASK)
    await world.say(SAVE_TASK, message_id=said.id)
    await world.handle(SAVE, said)
    report = await world.once()
    assert [(odd.consumer, odd.message_id) for odd in report.twice] == [(SAVE_TASK.subject, said.id)]
    assert named(report) == set()


async def test_an_id_of_another_day_is_found_where_it_lies(world: Audited) -> None:
    """What was said about a request of yesterday is in yesterday's inbox; an id of three days ago, too."""
    for days in (1, 2):
        old = uuid7(int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1000))
        said = await world.say(GENERATION_COMPLETED, message_id=f"{old}.completed")
        await world.handle(API, said)
        await world.handle(BILLING, said)
    report = await world.once(days=0)
    assert report.clean
    assert (tally(report, API).done, tally(report, API).published) == (2, 2)


async def test_a_retried_letter_is_followed(world: Audited) -> None:
    """The letter is no end any more, the retry is: lost, it is missing; handled, it is done; buried again, dead."""
    said = [await world.say(SAVE_TASK) for _ in range(3)]
    for each in said:
        await world.bury(SAVE, each, "retried")
        await world.say(SAVE_TASK, message_id=each.id, only=SAVE, by="api")
    await world.handle(SAVE, said[1])
    await world.bury(SAVE, said[2])
    report = await world.once()
    assert named(report) == {(SAVE.name, said[0].id)}
    found = tally(report, SAVE)
    assert (found.published, found.done, found.dead, found.missing) == (3, 1, 1, 1)


@pytest.mark.parametrize("state", ["waiting", "acknowledged", "due", "dropped"])
async def test_every_letter_that_was_not_retried_is_an_end(world: Audited, state: str) -> None:
    """Also one that an operator dropped."""
    await world.bury(SAVE, await world.say(SAVE_TASK), state)
    report = await world.once()
    assert (report.clean, tally(report, SAVE).dead, tally(report, SAVE).done) == (True, 1, 0)


async def test_a_letter_of_what_was_handled_later_does_not_count_twice(world: Audited) -> None:
    """A rebuilt bus says everything again: a dead letter's message may be handled after all."""
    said = await world.say(SAVE_TASK)
    await world.bury(SAVE, said)
    await world.handle(SAVE, said)
    found = tally(await world.once(), SAVE)
    assert (found.done, found.dead) == (1, 0)


async def test_a_queued_request_is_followed_by_its_own_row(world: Audited) -> None:
    """No inbox: done with an end, under way while it runs and is not overdue, missing else."""
    ids = [uuid7() for _ in range(4)]
    for id_ in ids:
        await world.say(BATCH_TEXT, message_id=f"{id_}.batch")
    for id_, outcome, deadline in zip(ids, ("succeeded", "running", "running"), (9, 9, -9), strict=False):
        await world.connection.execute(GENERATION, id_, outcome, timedelta(minutes=deadline))
    report = await world.once()
    assert named(report) == {(BATCH.name, f"{id_}.batch") for id_ in ids[2:]}
    found = tally(report, BATCH)
    assert (found.published, found.done, found.waiting, found.missing) == (4, 1, 1, 2)


async def test_requests_of_waiting_clients_are_compared_by_their_rows(world: Audited) -> None:
    """Their commands are in no outbox: an accepted one without an end past its deadline is missing."""
    lost, running, ended, refused = (uuid7() for _ in range(4))
    for id_, status, deadline in (
        (lost, "accepted", -9),
        (running, "accepted", 9),
        (ended, "succeeded", -9),
        (refused, "refused", -9),
    ):
        await world.connection.execute(REQUEST, id_, status, timedelta(minutes=deadline))
    await world.connection.execute(GENERATION, ended, "succeeded", timedelta(minutes=-9))
    report = await world.once()
    assert report.overdue == [str(lost)]
    assert not report.clean
    assert report.tallies[-1].as_json() | {"topic": ""} == {
        "consumer": "requests",
        "topic": "",
        "published": 3,
        "done": 1,
        "dead": 0,
        "waiting": 1,
        "missing": 1,
    }


async def test_a_consumer_that_is_new_lacks_nothing_of_before(world: Audited) -> None:
    """What was said long before its first word was not for it."""
    await world.partition(*(datetime.now(UTC).date() - timedelta(days=n) for n in (3, 4, 5)))
    await world.say(ADD_DOCUMENT, ago=timedelta(days=4))
    first = await world.say(ADD_DOCUMENT, ago=timedelta(minutes=7))
    lost = await world.say(ADD_DOCUMENT)
    assert named(await world.once(days=5)) == {(ADD.name, first.id), (ADD.name, lost.id)}
    await world.handle(ADD, first)
    assert named(await world.once(days=5)) == {(ADD.name, lost.id)}


async def test_only_reading_is_needed(world: Audited) -> None:
    """The audit's role may write nowhere."""
    await world.say(SAVE_TASK)
    await world.once()
    connection = await asyncpg.connect(world.databases.audit)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("delete from api.outbox")
    await connection.close()


async def test_the_command_ends_with_what_it_found(world: Audited) -> None:
    """0 where all balances, 1 with the missing, 2 where bus or database can't be read, or nobody has that name."""
    given = ("audit", "bus", "--json", "--settle", "35", "--bus", world.bus_url, "--database", world.databases.audit)
    status, report = await penstock(*given)
    assert (status, report["clean"]) == (0, True)
    said = await world.say(SAVE_TASK)
    status, report = await penstock(*given, "--consumer", SAVE.name)
    assert (status, [each["message_id"] for each in report["missing"]]) == (1, [said.id])
    for wrong in (("--bus", "nats://127.0.0.1:9"), ("--database", "postgresql://127.0.0.1:9/x"), ("--consumer", "x")):
        status, told = await penstock(*given, *wrong)
        assert (status, told["stderr"].count("\n")) == (2, 1), told
    status, told = await penstock(*given, "--since", "yesterday")
    assert status == 2
    assert "is no time: 90m, 24h, 7d" in told["stderr"]
