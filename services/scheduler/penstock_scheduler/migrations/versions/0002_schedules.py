"""Schedules, their ticks, and the memory of what was removed."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """create table scheduler.schedules (
        id uuid primary key,
        tenant uuid not null,
        key_id uuid not null,
        name text not null,
        task text not null,
        timing jsonb not null,
        sealed bytea not null,
        misfire text not null,
        is_paused boolean not null,
        next_at timestamptz,
        retry_at timestamptz not null default '-infinity',
        last_at timestamptz,
        last_run_id uuid,
        saved_at timestamptz not null,
        version bigint not null
    )""",
    "create index schedules_due on scheduler.schedules (next_at) where next_at is not null",
    "create index schedules_by_tenant on scheduler.schedules (tenant, id)",
    """create table scheduler.ticks (
        schedule_id uuid not null,
        due_at timestamptz not null,
        run_id uuid not null unique,
        fired_at timestamptz not null default now(),
        primary key (schedule_id, due_at)
    )""",
    "create index ticks_by_age on scheduler.ticks (due_at)",
    """create table scheduler.removals (
        id uuid primary key,
        tenant uuid not null,
        removed_at timestamptz not null
    )""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
