"""What the audit asks of the database; one snapshot of all schemas answers, and every answer is bounded."""

from penstock.auditing.records import OVERDUE_SECONDS, SAID, Record, day_of

MOST = 10_000
"""Rows of one kind that an answer names; the count is exact."""

FEW = 5_000
"""Rows that are looked up one by one; more are joined."""
SETTINGS = """
set local jit = off; set local work_mem = '64MB'; set local max_parallel_workers_per_gather = 0;
set local statement_timeout = '5min'; set local enable_nestloop = off
"""
"""A day that was filled just now has no statistics: whoever plans by them would compare each row with each."""
OUTBOXES = """
select n.nspname as service, min(substring(p.relname from '^outbox_([0-9]{8})$')) as since
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits h on h.inhparent = c.oid
left join pg_class p on p.oid = h.inhrelid
where c.relname = 'outbox' and c.relkind = 'p' and has_table_privilege(c.oid, 'select')
group by 1 order by 1
"""
"""The services, and the oldest day (YYYYMMDD) of which the outbox of each was not dropped."""

BEGAN = """
with first as (select min(day) as day from {service}.inbox where consumer = $1)
select day, (select cast(min(handled_at) at time zone 'UTC' as date) from {service}.inbox i
             where i.day = first.day and i.consumer = $1) as handled
from first
"""
"""When a consumer began to handle: what was said before it was declared is not its."""

COUNTS = "select subject, count(*) as count from {service}.outbox where day = $1 and id >= $2 and id < $3 group by 1"

SPAN = "{service}.outbox o where o.day = $3 and o.id >= $4 and o.id < $5 and o.subject = any($6::text[])"
MOMENTS = """case when {id} >= {first} collate "C" and {id} < {end} collate "C" then left({id}, 7) end"""
"""An id's part of its day, of 17.5 minutes (2^20 ms); null where it was made on another day."""
DOUBTFUL = f"""{SPAN} and (left(o.message_id, 7) = any($9::text[])
        or not (o.message_id >= $7 collate "C" and o.message_id < $8 collate "C"))"""
"""Those of a span whose ids were made in some parts of some days, or on other days."""
ROWS = """unnest($3::date[], $4::uuid[]) as g(day, id) cross join lateral (
        select * from {service}.outbox o where o.day = g.day and o.id = g.id limit 1
    ) o where true"""
UNHANDLED = """
with told as materialized (
    select o.id, o.subject, {said} as said, o.published_at from {rows} and $1::date[] is not null {unless}
),
letters as (
    select distinct on (message_id) message_id, state from api.dead_letters
    where consumer = $2 order by message_id, collected_at desc
)
select t.id, t.subject, t.said, t.published_at, {at_work} as at_work, count(*) over () as found
from told t left join letters l on l.message_id = t.said
where not {exact} and (l.state is null or l.state = 'retried' and t.subject <> '{subject}')
order by t.id limit {most}
"""
"""What neither consumer nor dead letters have; of a letter that was retried only the retry counts."""

BURIED = "select consumer, count(*) as count from api.dead_letters where state <> 'retried' group by 1"
DEAD = """
select count(distinct t.said) from (
    select message_id as said from api.dead_letters where consumer = $1 and state <> 'retried'
) t where {day} between $2 and $3 and not {handled}
"""
"""Messages of these days that lie among the dead letters, and were not handled by another delivery."""

SAID_BY_DAY = f"""
select subject, {MOMENTS.format(id="message_id", first="$1", end="$3")} as part,
       case when message_id < $2 collate "C" then 1 else 0 end as before,
       count(*) as count, sum(hashtextextended(message_id, 0)) as digest
from {{service}}.outbox where day = $4 group by 1, 2, 3
"""
"""A day's messages by topic and by when their ids were made, on that day or on the one before."""
ARRIVED = f"""
select consumer, {MOMENTS.format(id="message_id", first="$1", end="$2")} as part,
       count(*) as count, sum(hashtextextended(message_id, 0)) as digest
from {{service}}.inbox where day = $3 group by 1, 2
"""
"""Equal counts and sums of hashes are equal sets: what balances is compared in one pass over each side."""
UNSAID = """
select i.message_id from {service}.inbox i where i.day = $1 and i.consumer = $2 {nowhere} limit {most}
"""
NOWHERE = """and not exists (
    select from {service}.outbox o where o.day = any($3::date[]) and o.subject = $4 and o.message_id = i.message_id
)"""
SAID_LATER = """
select distinct message_id from {service}.outbox
where day >= $1 and subject = $2 and message_id = any($3::text[])
"""
MISPLACED = """
select consumer, message_id from {service}.inbox
where day = $3 and (message_id < $1 collate "C" or message_id >= $2 collate "C") limit {most}
"""
"""Where the partition is not the day of the id, a redelivery finds no row and takes effect again."""

TWICE = """
select subject, message_id from {service}.outbox where day = $1 and subject = any($2::text[])
group by 1, 2 having count(*) > 1 limit {most}
"""

REQUESTS = f"""
select count(*) as asked, count(*) filter (where ended) as ended,
       (array_agg(request_id) filter (where not ended and overdue)) as overdue
from (
    select a.request_id, coalesce(g.outcome <> 'running', false) as ended,
           coalesce(g.deadline, a.deadline, a.accepted_at + interval '5 minutes')
               + interval '{OVERDUE_SECONDS} s' < now() as overdue
    from api.requests a
    left join inference.generations g on g.request_id = a.request_id and g.request_id >= $1 and g.request_id < $2
    where a.request_id >= $1 and a.request_id < $2 and a.status <> 'refused' and a.lane <> 'batch'
) asked
"""
"""Requests of clients that wait: their command is in no outbox, their row and its end are."""


def unhandled(record: Record, service: str, *, rows: str, many: bool = False) -> str:
    """Rows of `SPAN`, `CROSSING` or `ROWS` that lack, by id."""
    return UNHANDLED.format(
        said=SAID,
        rows=rows.format(service=service),
        unless=f"and not {record.near}" if many else "",
        at_work=record.at_work,
        exact=record.exact,
        subject=record.subject,
        most=MOST,
    )


def dead(record: Record) -> str:
    """The messages of some days that lie among a consumer's dead letters."""
    return DEAD.format(day=day_of("t.said"), handled=record.exact)
