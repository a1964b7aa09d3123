"""`penstock reconcile` on real tables: clean where all agree, and failing for each way in which they may not."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from penstock_common.contracts.generation import Measure, Outcome, Tokens
from penstock_common.ids import uuid7
from tests.support.billing import a_completion, a_cost, billing_process
from tests.support.databases import Databases
from tests.support.records import Records, penstock

pytestmark = pytest.mark.integration

LONG_AGO = datetime.now(UTC) - timedelta(minutes=10)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder."""
    folder = Path(mkdtemp(prefix="penstock-reconcile-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def records(platform_databases: Databases, folder: Path) -> AsyncIterator[Records]:
    """Records of a platform that has priced one model."""
    async with billing_process(platform_databases.services["billing"]) as billing:
        records = Records(platform_databases, folder, billing)
        await records.prepare()
        yield records


def found(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """(request id, kind) of each difference."""
    return {(d["request_id"], d["kind"]) for d in answer["differences"]}


async def test_records_that_agree_are_clean(records: Records) -> None:
    """Whole, partial, failed and unpriced ends, cached tokens, and a lost attempt."""
    ends = [
        a_completion(40, 2),
        a_completion(40, 2, cached=10),
        a_completion(tokens=Tokens(40, 7, measure=Measure.PARTIAL), outcome=Outcome.CANCELLED),
        a_completion(0, 0, outcome=Outcome.FAILED, provider="", price_version=0),
        a_completion(40, 2, attempt=2),
    ]
    for event in ends:
        await records.add(event)
    records.count(ends[-1].request_id, 1, 40, 1, closed=False)
    await records.billing.receive(a_cost(1, Tokens(measure=Measure.ESTIMATED), request_id=ends[-1].request_id))
    status, answer = await records.command()
    assert answer["differences"] == []
    assert (status, answer["clean"], answer["requests"], answer["engine_attempts"]) == (0, True, 5, 6)
    assert answer["charged_nano"] == 3 * 4_400_000 - 500_000 + 5_400_000


TAMPERED = [
    ("delete from billing.postings where entry_id = {entry} and account like 'customer:%'", "amount_differs"),
    ("delete from billing.postings where entry_id = {entry} and account like 'revenue:%'", "postings_unbalanced"),
    ("insert into billing.postings values ({entry}, 'revenue:other', 5)", "postings_unbalanced"),
    ("insert into billing.postings values ({entry}, 'a', 5), ({entry}, 'b', -5)", "postings_unbalanced"),
    ("update billing.postings set amount_nano = amount_nano * 2 where entry_id = {entry}", "amount_differs"),
    ("update billing.postings set account = 'x' where entry_id = {entry} and amount_nano < 0", "postings_unbalanced"),
    ("update billing.entries set completion_tokens = 3 where id = {entry}", "entry_differs"),
    ("update billing.entries set attempt = 3 where id = {entry}", "attempt_differs"),
    ("delete from billing.entries where id = {entry}", "not_charged"),
    ("delete from billing.entries where book = 'provider' and request_id = {id}", "cost_not_booked"),
    ("delete from billing.outbox where message_id = {id} || '.usage'", "fact_differs"),
    ("insert into billing.outbox select day, gen_random_uuid(), subject, stream, message_id, headers, body"
     " from billing.outbox where message_id = {id} || '.usage'", "fact_differs"),
    ("delete from inference.generations where request_id = {id}", "charged_without_end"),
    ("delete from inference.generations where request_id = {id}", "ended_nowhere"),
    ("delete from inference.generations where request_id = {id}", "cost_without_request"),
    ("update inference.generations set completion_tokens = 3 where request_id = {id}", "entry_differs"),
    ("update inference.generations set outcome = 'running' where request_id = {id}", "charged_without_end"),
    ("update api.requests set completion_tokens = 3 where request_id = {id}", "api_differs"),
    ("update api.requests set status = 'failed' where request_id = {id}", "api_differs"),
    ("update api.requests set status = 'accepted' where request_id = {id}", "api_open"),
    ("delete from api.requests where request_id = {id}", "api_missing"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind"), TAMPERED)
async def test_one_changed_row_is_found(records: Records, change: str, kind: str) -> None:
    """The request is named, and no other."""
    await records.add(a_completion())
    id_ = await records.add(a_completion())
    entry = f"(select id from billing.entries where source_key = '{id_}/usage')"
    await records.change(change.format(entry=entry, id=f"'{id_}'"))
    answer = await records.reconcile()
    assert not answer["clean"]
    assert (str(id_), kind) in found(answer)
    assert {request for request, _ in found(answer)} <= {str(id_), ""}


@pytest.mark.parametrize("change", [TAMPERED[n][0] for n in (0, 2, 6, 12)])
async def test_the_command_fails_and_names_the_request(records: Records, change: str) -> None:
    """A posting removed, one added, a row changed, a terminal row lost: exit code 1."""
    id_ = await records.add(a_completion())
    entry = f"(select id from billing.entries where source_key = '{id_}/usage')"
    await records.change(change.format(entry=entry, id=f"'{id_}'"))
    status, answer = await records.command()
    assert status == 1
    assert str(id_) in {request for request, _ in found(answer)}


async def test_a_second_entry_for_a_request_is_found(records: Records) -> None:
    """Balanced, rightly priced, and one too many."""
    id_ = await records.add(a_completion())
    await records.change(f"""
        with e as (insert into billing.entries select gen_random_uuid(), book, source_key || '2', request_id, attempt,
            kind, tenant, key_id, model, prompt_tokens, completion_tokens, cached_tokens, measure, outcome, currency,
            price_version, corrects, occurred_at, posted_at from billing.entries where source_key = '{id_}/usage'
            returning id)
        insert into billing.postings select e.id, p.account, p.amount_nano from e, billing.postings p
        join billing.entries o on o.id = p.entry_id and o.source_key = '{id_}/usage'""")
    answer = await records.reconcile()
    assert (str(id_), "charged_twice") in found(answer)


@pytest.mark.parametrize(
    ("prompt", "completion", "closed", "clean"),
    [
        (40, 2, True, True),
        (40, 3, True, False),
        (40, 1, True, False),
        (41, 2, True, False),
        (40, 32, False, True),
        (40, 1, False, False),
        (40, 35, False, False),
    ],
)
async def test_the_engine_counted_otherwise(
    records: Records, prompt: int, completion: int, closed: bool, clean: bool
) -> None:
    """A closed call is compared exactly, an open one within its block."""
    event = a_completion(40, 2)
    await records.accept(event, "succeeded")
    await records.end(event)
    await records.billing.receive(event)
    records.count(event.request_id, 1, prompt, completion, closed=closed)
    records.write('{"event":"open","request_id":"torn')
    answer = await records.reconcile()
    assert found(answer) == (set() if clean else {(str(event.request_id), "engine_differs")})


async def test_what_the_engine_alone_knows_is_found(records: Records) -> None:
    """An attempt that is not booked, a request that nobody has, and a charge that the engine does not know."""
    twice, alone, unknown = a_completion(attempt=2), uuid7(), a_completion()
    await records.add(twice)
    records.count(twice.request_id, 1, 40, 5)
    records.count(alone, 1, 40, 5)
    await records.accept(unknown, "succeeded")
    await records.end(unknown)
    await records.billing.receive(unknown)
    answer = await records.reconcile()
    assert found(answer) == {
        (str(twice.request_id), "attempt_not_booked"),
        (str(alone), "engine_only"),
        (str(unknown.request_id), "engine_unknown"),
    }


async def test_a_damaged_engine_file_is_found(records: Records) -> None:
    """Only a last line may be torn."""
    records.write("{}\n")
    assert found(await records.reconcile()) == {("", "engine_damaged")}


async def test_what_still_runs_is_no_difference(records: Records) -> None:
    """Accepted or claimed, within its deadline."""
    waiting, running = a_completion(), a_completion()
    await records.accept(waiting)
    records.count(waiting.request_id, 1, 40, 0, closed=False)
    await records.end(running, outcome="running")
    answer = await records.reconcile()
    assert answer["differences"] == []
    assert set(answer["in_flight"]) == {str(waiting.request_id), str(running.request_id)}


async def test_what_ran_past_its_deadline_is_found(records: Records) -> None:
    """It will never end by itself."""
    lost, running, refused = a_completion(), a_completion(), a_completion()
    await records.accept(lost, at=LONG_AGO)
    await records.end(running, outcome="running", at=LONG_AGO)
    await records.accept(refused, "refused", at=LONG_AGO)
    answer = await records.reconcile()
    assert found(answer) == {(str(lost.request_id), "lost"), (str(running.request_id), "never_ended")}


async def test_a_charge_under_way_is_waited_for(records: Records) -> None:
    """What arrives within the time to settle never was a difference."""
    event = a_completion()
    await records.accept(event, "succeeded")
    await records.end(event)
    records.count(event.request_id, 1, 40, 2)
    assert not (await records.reconcile(settle=0))["clean"]
    comparing = asyncio.create_task(records.reconcile(settle=30))
    await asyncio.sleep(1.5)
    await records.billing.receive(event)
    assert (await comparing)["clean"]


async def test_a_charge_that_was_handled_and_is_gone_is_not_waited_for(records: Records) -> None:
    """Billing's inbox says that no charge is under way."""
    id_ = await records.add(a_completion())
    await records.change(f"delete from billing.entries where request_id = '{id_}'")
    started = datetime.now(UTC)
    answer = await records.reconcile(settle=60)
    assert (str(id_), "not_charged") in found(answer)
    assert datetime.now(UTC) - started < timedelta(seconds=30)


async def test_a_posting_of_no_entry_is_found(records: Records) -> None:
    """Nobody can say for which request it was."""
    await records.change("insert into billing.postings values (gen_random_uuid(), 'revenue:usage', 0)")
    assert found(await records.reconcile()) == {("", "posting_without_entry")}


async def test_prices_that_differ_are_found(records: Records) -> None:
    """Billing must charge what inference set."""
    await records.change("update inference.prices set output_nano = 1")
    assert found(await records.reconcile()) == {("", "price_differs")}


async def test_records_that_cannot_be_read_are_no_verdict() -> None:
    """Exit code 2: neither clean nor different."""
    status, answer = await penstock("reconcile", "--database", "postgresql://nobody@127.0.0.1:1/none")
    assert status == 2
    assert "can't be read" in answer["stderr"]
    status, answer = await penstock("reconcile", "--data", "/nonexistent/penstock")
    assert status == 2
    assert "--database" in answer["stderr"]
