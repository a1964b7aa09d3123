"""Knowledge bases, their documents and chunks."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """create table indexer.bases (
        id uuid primary key,
        tenant uuid not null,
        key_id uuid not null,
        name text not null,
        model text not null,
        chunk_characters int not null,
        overlap_characters int not null,
        dimension int,
        sequence bigint not null default 0,
        created_at timestamptz not null default now(),
        removed_at timestamptz
    )""",
    "create index bases_by_tenant on indexer.bases (tenant, id) where removed_at is null",
    """create table indexer.removed_bases (
        base_id uuid primary key,
        removed_at timestamptz not null default now()
    )""",
    """create table indexer.documents (
        id uuid primary key,
        slot bigint generated always as identity unique,
        base_id uuid not null references indexer.bases,
        tenant uuid not null,
        key_id uuid not null,
        object_key text not null unique,
        media_type text not null,
        size bigint not null,
        sealed_name bytea not null,
        traceparent text not null default '',
        state text not null default 'queued'
            check (state in ('queued', 'parsing', 'embedding', 'indexed', 'failed')),
        version int not null default 1,
        chunks int not null default 0,
        pages int not null default 0,
        dimension int,
        attempts int not null default 0,
        error_code text not null default '',
        error text not null default '',
        epoch bigint not null default 0,
        lease_until timestamptz not null default '-infinity',
        retry_at timestamptz not null default '-infinity',
        turn_at timestamptz not null default now(),
        parsed_at timestamptz,
        sequence bigint,
        created_at timestamptz not null default now(),
        changed_at timestamptz not null default now()
    )""",
    "create index documents_by_base on indexer.documents (base_id, id)",
    "create index documents_by_sequence on indexer.documents (base_id, sequence) where state = 'indexed'",
    """create index documents_at_work on indexer.documents (tenant, turn_at, id)
        where state in ('queued', 'parsing', 'embedding')""",
    """create table indexer.turns (
        tenant uuid primary key,
        served_at timestamptz not null default '-infinity'
    )""",
    """create table indexer.chunks (
        document_id uuid not null references indexer.documents on delete cascade,
        number int not null,
        begins int not null,
        ends int not null,
        page int not null,
        sealed_text bytea not null,
        sealed_vector bytea,
        primary key (document_id, number)
    )""",
    "create index chunks_without_vector on indexer.chunks (document_id, number) where sealed_vector is null",
    """create table indexer.asks (
        document_id uuid not null references indexer.documents on delete cascade,
        first int not null,
        request_id uuid not null,
        body_mac text not null,
        is_doubtful bool not null default false,
        primary key (document_id, first)
    )""",
    """create table indexer.removals (
        document_id uuid primary key,
        base_id uuid not null,
        slot bigint,
        sequence bigint,
        object_key text,
        removed_at timestamptz not null default now()
    )""",
    "create index removals_by_sequence on indexer.removals (base_id, sequence)",
    "create index removals_with_object on indexer.removals (document_id) where object_key is not null",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
