"""Tasks, runs, their journals, and what tasks remember."""

from alembic import op

revision = "0002"
down_revision = "0001"

TASKS = """
create table worker.tasks (
    tenant uuid not null,
    name text not null,
    task_id uuid not null,
    sealed bytea,
    version int not null default 1,
    saved_at timestamptz not null,
    primary key (tenant, name)
)
"""
RUNS = """
create table worker.runs (
    id uuid primary key,
    tenant uuid not null,
    key_id uuid not null,
    task text not null,
    task_id uuid,
    sealed_task bytea,
    sealed bytea not null,
    trigger text not null,
    source_id text not null,
    due_at timestamptz,
    depth int not null,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    version int not null default 0,
    step int not null default 0,
    steps int not null default 0,
    owner text not null default '',
    epoch int not null default 0,
    deaths int not null default 0,
    lease_until timestamptz not null default now(),
    cancel_reason text not null default '',
    traceparent text not null default '',
    sealed_output bytea,
    sealed_error bytea,
    error_code text not null default '',
    created_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz
)
"""
ENTRIES = """
create table worker.entries (
    run_id uuid not null references worker.runs (id),
    version int not null,
    at timestamptz not null default clock_timestamp(),
    kind text not null,
    step text not null,
    sealed bytea not null,
    primary key (run_id, version)
)
"""
MEMORIES = """
create table worker.memories (
    tenant uuid not null,
    task text not null,
    key_mac text not null,
    sealed bytea,
    changed_at timestamptz not null default now(),
    primary key (tenant, task, key_mac)
)
"""


def upgrade() -> None:
    for table in (TASKS, RUNS, ENTRIES, MEMORIES):
        op.execute(table)
    op.execute("create index runs_open on worker.runs (id) where state in ('queued', 'running')")
    op.execute("create index runs_of_tenants on worker.runs (tenant, id)")
    op.execute("create index runs_of_runs on worker.runs (source_id) where trigger = 'run'")
