"""URLs that are posted to when a request has ended."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    """create table api.callbacks (
        request_id uuid primary key,
        tenant uuid not null,
        sealed bytea,
        depth int not null check (depth >= 0),
        state text not null default 'waiting',
        attempts int not null default 0,
        problem text not null default '',
        next_at timestamptz,
        settled_at timestamptz,
        check ((state = 'due') = (next_at is not null)),
        check ((state in ('waiting', 'due')) = (sealed is not null))
    )""",
    "create index callbacks_waiting on api.callbacks (request_id) where state = 'waiting'",
    "create index callbacks_due on api.callbacks (tenant, next_at) where state = 'due'",
    "create index callbacks_settled on api.callbacks (settled_at) where settled_at is not null",
)


def upgrade() -> None:
    """Make the table."""
    for statement in STATEMENTS:
        op.execute(statement)
