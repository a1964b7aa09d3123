"""Alembic's entry point."""

from penstock_common.db.migrate import run_environment

run_environment()
