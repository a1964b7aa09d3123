"""SQL of documents at work. Whoever writes proves by the epoch that nobody claimed the document meanwhile."""

CLAIMABLE = """
select exists (
    select from indexer.documents
    where state in ('queued', 'parsing', 'embedding') and lease_until <= now() and retry_at <= now()
)
"""
CLAIM = """
with turn as (
    select t.tenant from indexer.turns t
    where exists (
        select from indexer.documents d where d.tenant = t.tenant and d.state in ('queued', 'parsing', 'embedding')
        and d.lease_until <= now() and d.retry_at <= now()
    )
    order by t.served_at limit 1 for update skip locked
), served as (
    update indexer.turns t set served_at = clock_timestamp() from turn where t.tenant = turn.tenant
), chosen as (
    select d.id from indexer.documents d join turn using (tenant)
    where d.state in ('queued', 'parsing', 'embedding') and d.lease_until <= now() and d.retry_at <= now()
    order by d.turn_at, d.id limit 1 for update of d skip locked
)
update indexer.documents d
set state = case when d.parsed_at is null then 'parsing' else 'embedding' end, epoch = d.epoch + 1,
    version = d.version + 1, attempts = d.attempts + 1, lease_until = now() + make_interval(secs => :lease),
    turn_at = clock_timestamp(), changed_at = now()
from chosen, indexer.bases b where d.id = chosen.id and b.id = d.base_id
returning d.id, d.base_id, d.tenant, d.key_id, d.epoch, d.attempts, d.version, d.object_key, d.media_type,
    d.parsed_at is not null as is_parsed, d.chunks, d.pages, b.model, b.chunk_characters, b.overlap_characters,
    d.traceparent
"""
RENEW = """
update indexer.documents set lease_until = now() + make_interval(secs => :lease)
where id = :id and epoch = :epoch returning version
"""
PARSED = """
update indexer.documents
set state = 'embedding', parsed_at = now(), chunks = :chunks, pages = :pages, attempts = 1,
    version = version + 1, changed_at = now()
where id = :id and epoch = :epoch returning version
"""
STORE = """
insert into indexer.chunks (document_id, number, begins, ends, page, sealed_text)
select cast(:id as uuid), * from unnest(
    cast(:number as int[]), cast(:begins as int[]), cast(:ends as int[]), cast(:page as int[]), cast(:text as bytea[])
)
"""
BATCH = """
select number, sealed_text from indexer.chunks
where document_id = :id and sealed_vector is null order by number limit :size
"""
ASK = """
insert into indexer.asks as a (document_id, first, request_id, body_mac)
select id, cast(:first as int), cast(:request_id as uuid), cast(:body_mac as text)
from indexer.documents where id = :id and epoch = :epoch for key share
on conflict (document_id, first) do update set
    request_id = case when a.body_mac = excluded.body_mac then a.request_id else excluded.request_id end,
    is_doubtful = a.body_mac = excluded.body_mac and a.is_doubtful,
    body_mac = excluded.body_mac
returning request_id, is_doubtful
"""
DROP_ASK = "delete from indexer.asks where document_id = :id and first = :first and request_id = :request_id"
DOUBT_ASK = """
update indexer.asks set is_doubtful = true where document_id = :id and first = :first and request_id = :request_id
"""
STORE_VECTORS = """
with held as (
    update indexer.documents
    set attempts = 1, changed_at = now(),
        dimension = case when dimension <> cast(:dimension as int) then -1 else cast(:dimension as int) end
    where id = :id and epoch = :epoch returning id
)
update indexer.chunks c set sealed_vector = given.vector
from held, unnest(cast(:number as int[]), cast(:vector as bytea[])) as given(number, vector)
where c.document_id = held.id and c.number = given.number returning c.number
"""
INDEXED = """
update indexer.documents
set state = 'indexed', version = version + 1, changed_at = now(), lease_until = '-infinity', attempts = 1,
    error_code = '', error = ''
where id = :id and epoch = :epoch
    and not exists (select from indexer.chunks where document_id = :id and sealed_vector is null)
returning version, chunks
"""
NUMBERED = """
update indexer.bases b set sequence = b.sequence + 1, dimension = d.dimension
from indexer.documents d
where d.id = :id and b.id = d.base_id and d.dimension > 0 and coalesce(b.dimension, d.dimension) = d.dimension
returning b.sequence
"""
PLACED = "update indexer.documents set sequence = :sequence where id = :id"
FORGET_ASKS = "delete from indexer.asks where document_id = :id"
RELEASE = """
update indexer.documents
set lease_until = '-infinity', retry_at = now() + make_interval(secs => :delay),
    attempts = attempts - cast(:uncounted as int), error_code = :code, error = :error
where id = :id and epoch = :epoch returning version
"""
FAIL = """
update indexer.documents
set state = 'failed', error_code = :code, error = :error, version = version + 1, changed_at = now(),
    lease_until = '-infinity'
where id = :id and epoch = :epoch returning version, chunks
"""
