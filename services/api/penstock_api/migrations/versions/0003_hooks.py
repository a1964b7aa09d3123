"""Webhooks, and the deliveries that were taken."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """create table api.hooks (
        id uuid primary key,
        tenant uuid not null,
        key_id uuid not null,
        name text not null,
        task text not null,
        signing jsonb not null,
        sealed_secret bytea not null,
        sealed_previous bytea,
        previous_until timestamptz,
        created_at timestamptz not null,
        rotated_at timestamptz
    )""",
    "create index hooks_by_tenant on api.hooks (tenant, id)",
    """create table api.hook_deliveries (
        hook_id uuid not null,
        delivery_id text not null,
        run_id uuid not null,
        received_at timestamptz not null,
        primary key (hook_id, delivery_id)
    )""",
    "create index hook_deliveries_by_age on api.hook_deliveries (received_at)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
