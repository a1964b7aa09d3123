"""The row that decides how a request ended, and the stops asked for."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """create table inference.generations (
        request_id uuid primary key,
        attempt int not null check (attempt >= 0),
        outcome text not null check (outcome in
            ('running', 'succeeded', 'partial', 'cancelled', 'expired', 'failed', 'lost')),
        owner text not null default '',
        nonce uuid,
        tenant uuid not null,
        key_id uuid not null,
        model text not null,
        deployment text not null default '',
        provider text not null default '',
        price_version bigint not null default 0,
        streamed bool not null,
        lane text not null,
        prompt_tokens int not null default 0 check (prompt_tokens >= 0),
        completion_tokens int not null default 0 check (completion_tokens >= 0),
        cached_tokens int not null default 0 check (cached_tokens >= 0),
        reasoning_tokens int not null default 0 check (reasoning_tokens >= 0),
        measure text not null default 'measured',
        error_code text not null default '',
        sealed bytea,
        accepted_at timestamptz not null,
        deadline timestamptz not null,
        claimed_at timestamptz,
        started_at timestamptz,
        first_token_at timestamptz,
        ended_at timestamptz,
        decisions jsonb not null default '[]'
    )""",
    "create index generations_running on inference.generations (deadline) where outcome = 'running'",
    """create table inference.cancellations (
        request_id uuid primary key,
        tenant uuid not null,
        reason text not null,
        requested_at timestamptz not null default now()
    )""",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
