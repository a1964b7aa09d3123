"""What an api process must know to send a recorded answer once more."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """alter table inference.generations
        add column asked text not null default '',
        add column includes_usage bool not null default false""",
)


def upgrade() -> None:
    """Add the columns."""
    for statement in STATEMENTS:
        op.execute(statement)
