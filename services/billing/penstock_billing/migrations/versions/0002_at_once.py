"""A batch of charges travels as one array of rows, and its guards look at nothing but that batch."""

from alembic import op

revision = "0002"
down_revision = "0001"

# A type of its own, and no table's: columns that tables gain later don't change what running processes send.
CHARGE = """
create type billing.charge_v1 as (
    day date,
    message_id text,
    fingerprint text,
    request_id uuid,
    attempt integer,
    tenant uuid,
    key_id uuid,
    model text,
    prompt_tokens bigint,
    completion_tokens bigint,
    cached_tokens bigint,
    measure text,
    outcome text,
    currency text,
    price_version bigint,
    occurred_at timestamptz,
    customer_id uuid,
    customer_key text,
    customer_debit text,
    customer_credit text,
    customer_nano bigint,
    provider_id uuid,
    provider_key text,
    provider_debit text,
    provider_credit text,
    provider_nano bigint,
    fact_day date,
    fact_id uuid,
    fact_message_id text,
    fact_headers text,
    fact_body bytea
)
"""
# The plan is kept, and made when the tables may have been empty: what is quick then reads all of them later.
BY_INDEX = "set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off"
BALANCED = f"""
create or replace function billing.check_postings() returns trigger language plpgsql {BY_INDEX} as $body$
declare
    wrong uuid;
begin
    select entry_id into wrong from added group by entry_id having sum(amount_nano) <> 0 limit 1;
    if found then
        raise exception 'the postings of entry % do not sum to zero', wrong using errcode = 'check_violation';
    end if;
    select entry_id into wrong from (select distinct entry_id from added) a
    where not exists (select from billing.entries e where e.id = a.entry_id) limit 1;
    if found then
        raise exception 'there is no entry % for its postings', wrong using errcode = 'foreign_key_violation';
    end if;
    return null;
end $body$
"""
POSTED = f"""
create or replace function billing.check_entries() returns trigger language plpgsql {BY_INDEX} as $body$
declare
    wrong uuid;
begin
    select id into wrong from added a
    where not exists (select from billing.postings p where p.entry_id = a.id) limit 1;
    if found then
        raise exception 'entry % has no postings', wrong
            using errcode = 'check_violation', hint = 'Write an entry and its postings in one statement.';
    end if;
    return null;
end $body$
"""


def upgrade() -> None:
    """Make the type; replace the guards by ones that refuse the same."""
    for statement in (CHARGE, BALANCED, POSTED):
        op.execute(statement)
