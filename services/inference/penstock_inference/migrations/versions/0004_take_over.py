"""How each model's answers go on after a take-over."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = ("alter table inference.models add column take_over text not null default ''",)


def upgrade() -> None:
    """Add the column; empty is the default of the model's dialect."""
    for statement in STATEMENTS:
        op.execute(statement)
