"""Requests that a client named by an idempotency key."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.execute("""
        create table api.idempotency_keys (
            tenant uuid not null,
            key_mac text not null,
            body_mac text not null,
            request_id uuid not null,
            created_at timestamptz not null default now(),
            primary key (tenant, key_mac)
        )""")
    op.execute("create index idempotency_keys_by_age on api.idempotency_keys (created_at)")
