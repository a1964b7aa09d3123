"""Requests that wait for their turn, what each tenant has of it, and the clock by which turns are taken."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """create table inference.queue (
        request_id uuid primary key,
        tenant uuid not null,
        priority smallint not null check (priority between 0 and 9),
        deadline timestamptz not null,
        verdict text not null default '' check (verdict in ('', 'stopped', 'full')),
        dispatched_at timestamptz,
        about bytea not null,
        command bytea not null,
        context bytea not null
    )""",
    """create index queue_waiting on inference.queue (tenant, priority desc, request_id)
        where dispatched_at is null and verdict = ''""",
    "create index queue_deadlines on inference.queue (deadline) where dispatched_at is null",
    "create index queue_verdicts on inference.queue (request_id) where dispatched_at is null and verdict <> ''",
    "create index queue_dispatched on inference.queue (request_id) where dispatched_at is not null",
    """create table inference.queue_tenants (
        tenant uuid primary key,
        waiting int not null check (waiting >= 0),
        finish double precision not null default 0,
        weight double precision not null default 1 check (weight > 0)
    )""",
    """create table inference.queue_clock (
        is_only boolean primary key default true check (is_only),
        virtual double precision not null default 0,
        ended double precision not null default 0,
        since timestamptz,
        measured_at timestamptz
    )""",
    "insert into inference.queue_clock default values",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
