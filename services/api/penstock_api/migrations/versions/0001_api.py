"""Keys, the history of requests, and the catalogue as api knows it."""

from alembic import op

from penstock_common.db.tables import messaging_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY_CHANGES = 0x4B455953  # advisory lock: versions become visible in their own order

STATEMENTS = (
    *messaging_tables_v1("api"),
    """create table api.projects (
        id uuid primary key,
        name text not null,
        created_at timestamptz not null default now()
    )""",
    "create sequence api.key_versions",
    """create table api.keys (
        id uuid primary key,
        project_id uuid not null references api.projects,
        name text not null,
        prefix text not null,
        sha256 bytea not null unique check (octet_length(sha256) = 32),
        scopes text[] not null,
        created_at timestamptz not null default now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        last_used_at timestamptz,
        version bigint not null
    )""",
    "create index keys_by_version on api.keys (version)",
    "create index keys_by_project on api.keys (project_id, id)",
    f"""create function api.number_key_change() returns trigger language plpgsql as $$
        begin
            perform pg_advisory_xact_lock({KEY_CHANGES});
            new.version := nextval('api.key_versions');
            return new;
        end $$""",
    """create trigger number_key_change
        before insert or update of project_id, name, prefix, sha256, scopes, expires_at, revoked_at on api.keys
        for each row execute function api.number_key_change()""",
    """create table api.requests (
        request_id uuid primary key,
        tenant uuid not null,
        key_id uuid not null,
        model text not null,
        streamed bool not null,
        lane text not null,
        status text not null,
        attempt int not null default 0,
        prompt_tokens int not null default 0,
        completion_tokens int not null default 0,
        decisions jsonb not null default '[]',
        accepted_at timestamptz not null,
        deadline timestamptz,
        ended_at timestamptz
    )""",
    "create index requests_by_tenant on api.requests (tenant, accepted_at)",
    """create table api.catalogue (
        is_only_row bool primary key default true check (is_only_row),
        version bigint not null,
        models jsonb not null
    )""",
    "insert into api.catalogue (version, models) values (0, '[]')",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
