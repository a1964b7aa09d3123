"""What the database itself refuses, whoever asks."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.support.billing import Billing, a_catalogue, a_completion

pytestmark = pytest.mark.integration

ENTRY = """
with e as (
    insert into billing.entries (id, book, source_key, request_id, attempt, kind, tenant, model, prompt_tokens,
        completion_tokens, cached_tokens, measure, currency, price_version, occurred_at)
    values (gen_random_uuid(), 'customer', gen_random_uuid()::text, gen_random_uuid(), 1, 'usage',
        gen_random_uuid(), 'm', 1, 1, 0, 'measured', 'USD', 7, now())
    returning id
) {then}
"""
TABLES = "array['billing.entries', 'billing.postings']::regclass[]"
SCANS = f"select seq_scan from pg_stat_xact_user_tables where relid = any({TABLES})"
POSTINGS = "insert into billing.postings select id, account, amount from e, (values {rows}) as v(account, amount)"


@pytest.mark.parametrize("table", ["entries", "postings"])
@pytest.mark.parametrize("statement", ["delete from billing.{}", "truncate billing.{}", "update billing.{} set {}"])
async def test_the_ledger_is_append_only(billing: Billing, table: str, statement: str) -> None:
    """Update, delete and truncate are refused with a sentence that says what to do instead."""
    await billing.receive(a_completion())
    before = await billing.fetch(f"select * from billing.{table}")
    change = {"entries": "model = 'other'", "postings": "amount_nano = 0"}[table]
    with pytest.raises(DBAPIError, match=f"billing.{table} is append-only"):
        await billing.fetch(statement.format(table, change))
    assert before == await billing.fetch(f"select * from billing.{table}")


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (POSTINGS.format(rows="('a', 5), ('b', -4)"), "do not sum to zero"),
        (POSTINGS.format(rows="('a', 5)"), "do not sum to zero"),
        ("select id from e", "has no postings"),
    ],
)
async def test_an_unbalanced_entry_is_refused(billing: Billing, then: str, reason: str) -> None:
    """An entry and its postings are one statement, and sum to zero."""
    with pytest.raises(DBAPIError, match=reason):
        await billing.fetch(ENTRY.format(then=then))
    assert await billing.fetch("select id from billing.entries") == []


async def test_a_balanced_entry_is_taken(billing: Billing) -> None:
    """The refusals above are not for another reason."""
    then = POSTINGS.format(rows="('a', 5), ('b', -5)")
    assert await billing.fetch(ENTRY.format(then=f"{then} returning amount_nano")) == [5, -5]


async def test_postings_need_an_entry(billing: Billing) -> None:
    """Even balanced ones."""
    orphans = "insert into billing.postings select gen_random_uuid(), 'a', 0"
    with pytest.raises(DBAPIError, match="there is no entry"):
        await billing.fetch(orphans)


async def test_the_guards_read_nothing_but_what_is_written(billing: Billing) -> None:
    """However little there was when they were planned: a plan that reads whole tables would cost more with each day."""
    taken = ENTRY.format(then=POSTINGS.format(rows="('a', 5), ('b', -5)"))
    async with billing.database.engine.begin() as connection:
        for _ in range(10):  # PostgreSQL settles on a plan after five
            await connection.execute(text(taken))
        assert list(await connection.scalars(text(SCANS))) == [0, 0]


async def test_a_price_version_never_changes(billing: Billing) -> None:
    """The same version with other numbers is refused; the same numbers again are not."""
    (model,) = a_catalogue().models
    await billing.receive(a_catalogue(version=2))
    changed = type(model.price)(version=7, currency="USD", input_nano=1, output_nano=1, cached_input_nano=1)
    await billing.receive(a_catalogue(changed, version=3))
    assert len(billing.settler.acked) == 2
    assert "other numbers" in next(iter(billing.settler.buried.values()))
    assert await billing.fetch("select version, input_nano from billing.prices") == [(7, 100_000)]
