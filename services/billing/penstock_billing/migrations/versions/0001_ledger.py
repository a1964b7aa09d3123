"""Outbox, inbox, prices, and the append-only ledger."""

from alembic import op

from penstock_common.db.tables import messaging_tables_v1

revision = "0001"
down_revision = None

PRICES = """
create table billing.prices (
    version bigint primary key,
    model text not null,
    currency text not null,
    input_nano bigint not null,
    output_nano bigint not null,
    cached_input_nano bigint not null,
    provider_input_nano bigint not null,
    provider_output_nano bigint not null,
    simulated boolean not null,
    known_at timestamptz not null default now()
)
"""
ENTRIES = """
create table billing.entries (
    id uuid primary key,
    book text not null check (book in ('customer', 'provider')),
    source_key text not null,
    request_id uuid not null,
    attempt integer not null,
    kind text not null,
    tenant uuid not null,
    key_id uuid,
    model text not null,
    prompt_tokens bigint not null check (prompt_tokens >= 0),
    completion_tokens bigint not null check (completion_tokens >= 0),
    cached_tokens bigint not null check (cached_tokens between 0 and prompt_tokens),
    measure text not null,
    outcome text,
    currency text not null,
    price_version bigint not null,
    corrects uuid references billing.entries,
    occurred_at timestamptz not null,
    posted_at timestamptz not null default now(),
    unique (book, source_key)
)
"""
# No foreign key: it costs a look-up per row, and the trigger below checks a whole statement at once; entries can't go.
POSTINGS = """
create table billing.postings (
    entry_id uuid not null,
    account text not null,
    amount_nano bigint not null,
    primary key (entry_id, account)
)
"""
INDEXES = (
    "create index entries_by_request on billing.entries (request_id)",
    """create index entries_by_use on billing.entries (tenant, key_id, model, occurred_at)
    where book = 'customer'""",
)
APPEND_ONLY = """
create function billing.refuse_change() returns trigger language plpgsql as $body$
begin
    raise exception 'billing.% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation', hint = 'Post a new entry that names the one it corrects.';
end $body$
"""
REFUSE_CHANGE = """
create trigger {table}_append_only before update or delete or truncate on billing.{table}
for each statement execute function billing.refuse_change()
"""
BALANCED = """
create function billing.check_postings() returns trigger language plpgsql as $body$
declare
    wrong uuid;
begin
    select entry_id into wrong from added group by entry_id having sum(amount_nano) <> 0 limit 1;
    if found then
        raise exception 'the postings of entry % do not sum to zero', wrong using errcode = 'check_violation';
    end if;
    select entry_id into wrong from added a
    where not exists (select from billing.entries e where e.id = a.entry_id) limit 1;
    if found then
        raise exception 'there is no entry % for its postings', wrong using errcode = 'foreign_key_violation';
    end if;
    return null;
end $body$
"""
CHECK_POSTINGS = """
create trigger postings_balanced after insert on billing.postings referencing new table as added
for each statement execute function billing.check_postings()
"""
POSTED = """
create function billing.check_entries() returns trigger language plpgsql as $body$
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
CHECK_ENTRIES = """
create trigger entries_posted after insert on billing.entries referencing new table as added
for each statement execute function billing.check_entries()
"""


def upgrade() -> None:
    """Make the tables, then their guards."""
    tables = (*messaging_tables_v1("billing"), PRICES, ENTRIES, POSTINGS, *INDEXES)
    guards = (APPEND_ONLY, *(REFUSE_CHANGE.format(table=t) for t in ("entries", "postings")))
    checks = (BALANCED, CHECK_POSTINGS, POSTED, CHECK_ENTRIES)
    for statement in (*tables, *guards, *checks):
        op.execute(statement)
