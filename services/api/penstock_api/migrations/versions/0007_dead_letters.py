"""Dead letters with their stories, and what operators did."""

from alembic import op

revision = "0007"
down_revision = "0006"

YEARS_KEPT = 7

STATEMENTS = (
    """create table api.audit_entries (
        id uuid primary key,
        act_id uuid not null,
        act text not null check (length(act) <= 64),
        phase text not null check (phase in ('begun', 'done', 'failed')),
        actor text not null check (length(actor) <= 256),
        details jsonb not null check (jsonb_typeof(details) = 'object'),
        at timestamptz not null
    )""",
    "create index audit_entries_by_act on api.audit_entries (act_id, id)",
    "create index audit_entries_by_kind on api.audit_entries (act, id)",
    f"""create function api.refuse_audit_change() returns trigger language plpgsql as $body$
    begin
        if tg_op = 'DELETE' and old.at < now() - interval '{YEARS_KEPT} years' then
            return old;
        end if;
        raise exception 'api.audit_entries is append-only for {YEARS_KEPT} years: % refused', lower(tg_op)
            using errcode = 'restrict_violation';
    end $body$""",
    """create trigger audit_entries_append_only before update or delete on api.audit_entries
    for each row execute function api.refuse_audit_change()""",
    """create trigger audit_entries_never_truncated before truncate on api.audit_entries
    for each statement execute function api.refuse_audit_change()""",
    """create table api.dead_letters (
        id uuid primary key,
        identity bytea not null unique,
        consumer text not null,
        subject text not null,
        message_id text not null,
        tenant uuid,
        code text not null,
        reason text not null,
        attempts int not null,
        story jsonb not null,
        headers jsonb not null,
        body bytea not null,
        first_failed_at timestamptz not null,
        last_failed_at timestamptz not null,
        collected_at timestamptz not null,
        state text not null default 'waiting'
            check (state in ('waiting', 'acknowledged', 'due', 'retried', 'dropped')),
        changed_at timestamptz not null,
        retries int not null default 0,
        act_id uuid,
        due_at timestamptz,
        check ((state = 'due') = (due_at is not null)),
        check (state not in ('due', 'retried') or act_id is not null)
    )""",
    "create index dead_letters_waiting on api.dead_letters (consumer) where state = 'waiting'",
    "create index dead_letters_due on api.dead_letters (due_at) where state = 'due'",
    "create index dead_letters_by_consumer on api.dead_letters (consumer, id)",
    "create index dead_letters_ended on api.dead_letters (changed_at) where state in ('retried', 'dropped')",
    """create table api.dead_letter_edits (
        letter_id uuid not null references api.dead_letters on delete cascade,
        number int not null,
        body bytea not null,
        fingerprint text not null,
        actor text not null,
        at timestamptz not null,
        primary key (letter_id, number)
    )""",
)


def upgrade() -> None:
    """Make the tables and the guard of the audit log."""
    for statement in STATEMENTS:
        op.execute(statement)
