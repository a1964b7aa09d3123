"""One charge for every end, whatever is delivered how often."""

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen

from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import Outcome, Tokens
from penstock_common.ids import uuid7
from tests.support.billing import PRICE, Billing, a_catalogue, a_completion, id_of
from tests.support.deliveries import delivered

pytestmark = pytest.mark.integration

LATE = Price(version=8, currency="USD", input_nano=5, output_nano=6, cached_input_nano=1)


async def test_redelivered_completion_is_charged_once(billing: Billing) -> None:
    """A message the bus delivers twice yields one charge and one event."""
    event = a_completion(prompt=40, completion=2)
    await billing.receive(event, times=2)
    assert await billing.charged(event.request_id) == [40 * 100_000 + 2 * 200_000]
    assert await billing.published() == [f"{event.request_id}.usage"]


async def test_a_new_batch_is_one_statement(billing: Billing) -> None:
    """Inbox, books and outbox in one round trip; what is known already takes a transaction of several."""
    statements: list[str] = []
    engine = billing.database.engine.sync_engine
    listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    events = [a_completion() for _ in range(3)]
    await billing.receive(*events)
    assert [await billing.charged(e.request_id) for e in events] == [[4_400_000]] * 3
    assert not [s for s in statements if "insert" in s]
    one = "select count(distinct xmin::text) from (select xmin from billing.entries union select xmin from {}) x"
    for table in ("billing.postings", "billing.outbox", "billing.inbox where consumer like '%completed'"):
        assert await billing.fetch(one.format(table)) == [1]
    await billing.receive(events[0], a_completion())
    assert [s for s in statements if "insert into billing.entries" in s]


async def test_on_a_schema_that_is_a_release_behind_batches_are_charged_all_the_same(billing: Billing) -> None:
    """Without the type that a batch travels as, by the statements that known ones take."""
    async with billing.database.engine.begin() as connection:
        await connection.execute(text("drop type billing.charge_v1"))
    events = [a_completion() for _ in range(3)]
    await billing.receive(*events, times=2)
    assert [await billing.charged(e.request_id) for e in events] == [[4_400_000]] * 3
    assert sorted(await billing.published()) == sorted(f"{e.request_id}.usage" for e in events)


async def test_a_message_twice_in_one_batch_is_charged_once(billing: Billing) -> None:
    """Both deliveries are acknowledged."""
    event = a_completion()
    await billing.receive(event, event)
    assert len(await billing.charged(event.request_id)) == 1
    assert billing.settler.acked.count(id_of(event)) == 2


async def test_two_message_ids_for_one_request_are_charged_once(billing: Billing) -> None:
    """The second is no new charge, even in the batch of the first."""
    event = a_completion()
    ids = tuple(f"{event.request_id}.{n}" for n in "abc")
    await billing.receive(event, event, ids=ids[:2])
    await billing.receive(event, ids=ids[2:])
    assert len(await billing.charged(event.request_id)) == 1
    assert await billing.published() == [f"{event.request_id}.usage"]
    assert set(ids) <= set(billing.settler.acked)


async def test_another_end_of_a_charged_request_is_refused(billing: Billing) -> None:
    """Other numbers under another message id go to the dead letters, and the charge stays."""
    event = a_completion(completion=2)
    other = a_completion(completion=3, request_id=event.request_id)
    await billing.receive(event)
    await billing.receive(other, ids=(f"{event.request_id}.other",))
    assert "other numbers" in billing.settler.buried[f"{event.request_id}.other"]
    assert await billing.charged(event.request_id) == [4_400_000]


async def test_a_known_id_with_another_content_is_refused(billing: Billing) -> None:
    """The inbox compares fingerprints."""
    event = a_completion(completion=2)
    await billing.receive(event)
    await billing.receive(a_completion(completion=3, request_id=event.request_id))
    assert "another content" in billing.settler.buried[id_of(event)]


async def test_cached_tokens_have_their_own_price(billing: Billing) -> None:
    """They are part of the prompt tokens."""
    event = a_completion(prompt=40, completion=2, cached=10)
    await billing.receive(event)
    assert await billing.charged(event.request_id) == [30 * 100_000 + 10 * 50_000 + 2 * 200_000]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.EXPIRED, Outcome.LOST, Outcome.CANCELLED])
async def test_an_end_without_tokens_has_an_entry_of_zero(billing: Billing, outcome: Outcome) -> None:
    """Every end is in the book, and is told."""
    event = a_completion(0, 0, outcome=outcome)
    await billing.receive(event)
    assert await billing.charged(event.request_id) == [0]
    assert await billing.published() == [f"{event.request_id}.usage"]
    assert (await billing.usage()).requests == 0


async def test_an_end_before_a_model_was_found_needs_no_price(billing: Billing) -> None:
    """Version 0 means none; no provider means no cost."""
    event = a_completion(0, 0, outcome=Outcome.FAILED, price_version=0, provider="")
    await billing.receive(event)
    assert await billing.fetch("select book from billing.entries") == ["customer"]


async def test_tokens_without_a_price_are_refused(billing: Billing) -> None:
    """Nobody can ever say what they cost."""
    event = a_completion(price_version=0)
    await billing.receive(event)
    assert "no price version" in billing.settler.buried[id_of(event)]


async def test_a_price_that_arrives_late_is_waited_for(billing: Billing) -> None:
    """The completion is retried, not refused; its neighbours are charged at once."""
    early = a_completion(price_version=8)
    neighbours = [a_completion() for _ in range(3)]
    await billing.receive(*neighbours[:2], early, neighbours[2])
    assert "price version 8" in billing.settler.retried[id_of(early)]
    assert set(map(id_of, neighbours)) <= set(billing.settler.acked)
    await billing.receive(a_catalogue(PRICE, LATE))
    await billing.receive(early)
    assert await billing.charged(early.request_id) == [40 * 5 + 2 * 6]


async def test_a_poison_message_costs_only_itself(billing: Billing) -> None:
    """A batch that can't be charged together is charged one by one."""
    poison = a_completion(tokens=Tokens(prompt=1, cached=2))
    neighbours = [a_completion() for _ in range(5)]
    await billing.receive(*neighbours[:3], poison, *neighbours[3:])
    assert list(billing.settler.buried) == [id_of(poison)]
    assert [len(await billing.charged(e.request_id)) for e in neighbours] == [1] * 5
    assert await billing.charged(poison.request_id) == []


async def test_an_undecodable_body_costs_only_itself(billing: Billing) -> None:
    """It goes straight to the dead letters."""
    good, torn = a_completion(), delivered(a_completion())
    torn.body = b'{"request_id": 1'
    await billing.deliver(type(good), [delivered(good, id_of(good)), torn])
    assert list(billing.settler.buried) == [torn.message_id]
    assert len(await billing.charged(good.request_id)) == 1


async def test_the_fact_names_its_cause(billing: Billing) -> None:
    """UsageRecorded continues the completion's story, each of a batch its own."""
    events = [a_completion(), a_completion()]
    await billing.receive(*events)
    causes = await billing.fetch("select message_id, headers->>'penstock-causation' from billing.outbox")
    assert dict(causes) == {f"{e.request_id}.usage": id_of(e) for e in events}


async def test_usage_by_tenant_and_by_request(billing: Billing) -> None:
    """Questions are answered from the customer book alone."""
    mine, theirs = a_completion(40, 2), a_completion(10, 1, tenant=uuid7(), model="sim/slow")
    await billing.receive(mine, theirs)
    everything = await billing.usage()
    assert (everything.requests, everything.prompt_tokens, everything.completion_tokens) == (2, 50, 3)
    assert {model: row.cost_nano for model, row in everything.by_model.items()} == {
        "sim/fast": 4_400_000,
        "sim/slow": 1_200_000,
    }
    assert (await billing.usage(tenant=theirs.tenant)).cost_nano == 1_200_000
    assert (await billing.usage(request_id=mine.request_id)).prompt_tokens == 40
    assert (await billing.usage(request_id=uuid7())).currency == "USD"
