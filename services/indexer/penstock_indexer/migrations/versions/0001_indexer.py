"""Outbox and inbox."""

from alembic import op

from penstock_common.db.tables import messaging_tables_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    for statement in messaging_tables_v1("indexer"):
        op.execute(statement)
