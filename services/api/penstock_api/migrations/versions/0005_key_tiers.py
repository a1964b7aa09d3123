"""The tier of a key: how its requests stand where there are more than slots."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    "alter table api.keys add column tier text not null default 'standard'",
    "drop trigger number_key_change on api.keys",
    """create trigger number_key_change
        before insert or update of project_id, name, prefix, sha256, scopes, tier, expires_at, revoked_at on api.keys
        for each row execute function api.number_key_change()""",
)


def upgrade() -> None:
    """Add the column, and number its changes as those of the others."""
    for statement in STATEMENTS:
        op.execute(statement)
