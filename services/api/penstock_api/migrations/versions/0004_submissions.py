"""Which webhook hears of which request's end."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """create table api.completion_hooks (
        request_id uuid primary key,
        tenant uuid not null,
        hook_id uuid not null,
        depth int not null check (depth >= 0)
    )""",
)


def upgrade() -> None:
    """Make the table."""
    for statement in STATEMENTS:
        op.execute(statement)
