"""Whether a run was started by a replay, and what it may do then."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; runs that are there were started by nobody's replay."""
    for column in ("replay", "effects"):
        op.execute(f"alter table worker.runs add column {column} text not null default ''")
