"""Outbox and inbox; models, their prices, and the version of the catalogue."""

from alembic import op

from penstock_common.db.tables import messaging_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    *messaging_tables_v1("inference"),
    """create table inference.prices (
        version bigint primary key,
        model text not null,
        currency text not null check (currency ~ '^[A-Z]{3}$'),
        input_nano bigint not null check (input_nano >= 0),
        output_nano bigint not null check (output_nano >= 0),
        cached_input_nano bigint not null check (cached_input_nano >= 0),
        provider_input_nano bigint not null check (provider_input_nano >= 0),
        provider_output_nano bigint not null check (provider_output_nano >= 0),
        created_at timestamptz not null default now()
    )""",
    """create table inference.models (
        name text primary key,
        engine text not null,
        dialect text not null,
        url text not null,
        upstream_model text not null,
        secret text not null,
        aliases text[] not null,
        context_tokens bigint not null,
        capabilities text[] not null,
        price_version bigint not null references inference.prices,
        created bigint not null,
        enabled boolean not null,
        origin text not null,
        changed_at timestamptz not null default now()
    )""",
    """create table inference.catalogue (
        is_only boolean primary key default true check (is_only),
        version bigint not null
    )""",
    "insert into inference.catalogue (version) values (0)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
