"""The statements of `inference.queue`, of its tenants and its clock; those that write hold the queue's lock."""

from sqlalchemy import text

LOCK = text("""
select pg_advisory_xact_lock(hashtextextended('inference.queue', 0)), set_config('enable_seqscan', 'off', true)
""")
"""One writer at a time: so the counts of tenants are exact, and no slot is given twice.

What follows goes by indexes alone: its plans are made while tables are small, and are kept when they have grown.
"""

LOOK = """
select exists (select from inference.queue) as anything, exists (
  select from inference.queue where dispatched_at is null and verdict <> ''
) or exists (
  select from inference.queue where dispatched_at is null and verdict = '' and deadline <= $1
) as due, exists (
  select from inference.queue where dispatched_at is not null and deadline < $2
) as overdue
"""
SHARES = text("select tenant, waiting, finish, weight from inference.queue_tenants where waiting > 0")
CLOCK = text("select virtual, ended, since, measured_at from inference.queue_clock")
STOPPED = text("select request_id from inference.cancellations where request_id = any(cast(:ids as uuid[]))")

INSERT = text("""
with given as (
  select g.* from unnest(cast(:request_id as uuid[]), cast(:tenant as uuid[]), cast(:priority as int[]),
    cast(:weight as float8[]), cast(:deadline as timestamptz[]), cast(:verdict as text[]), cast(:about as bytea[]),
    cast(:command as bytea[]), cast(:context as bytea[]))
  as g(request_id, tenant, priority, weight, deadline, verdict, about, command, context)
), kept as (
  insert into inference.queue (request_id, tenant, priority, deadline, verdict, about, command, context)
  select request_id, tenant, priority, deadline, verdict, about, command, context from given
  on conflict do nothing returning request_id
)
insert into inference.queue_tenants as t (tenant, waiting, weight)
select tenant, count(*), max(weight) from given join kept using (request_id)
where verdict <> 'full' group by tenant order by tenant
on conflict (tenant) do update set waiting = t.waiting + excluded.waiting, weight = excluded.weight
""")

STOP = text("""
update inference.queue set verdict = 'stopped'
where request_id = :id and dispatched_at is null and verdict = '' returning request_id
""")

DUE = text("""
select verdict, command, context from inference.queue
where dispatched_at is null and verdict <> ''
union all
(select verdict, command, context from inference.queue
 where dispatched_at is null and verdict = '' and deadline <= :now order by deadline limit :most)
limit :most
""")

REMOVE = text("""
with gone as (
  delete from inference.queue where request_id = any(cast(:ids as uuid[])) and dispatched_at is null
  returning tenant, verdict
), counted as (
  select tenant, count(*) as many from gone where verdict <> 'full' group by tenant
)
update inference.queue_tenants t set waiting = t.waiting - c.many from counted c where t.tenant = c.tenant
""")

ENDED = text("""
delete from inference.queue q where q.dispatched_at is not null
  and (select g.outcome <> 'running' from inference.generations g where g.request_id = q.request_id)
""")
"""Forget turns that are over."""

BALANCE = text("""
with forgotten as (
  delete from inference.queue_tenants t using inference.queue_clock c where t.waiting = 0 and t.finish <= c.virtual
)
select (
  select count(*) from inference.queue where dispatched_at is not null
) as running, c.virtual, c.ended, c.since, c.measured_at
from inference.queue_clock c
""")
"""How many turns are taken, and the clock. Whoever has nothing waiting and owes it nothing is forgotten."""

OVERDUE = text("""
select command from inference.queue where dispatched_at is not null and deadline < :before limit :most
""")

NEXT = text("""
select t.tenant, t.waiting, t.finish, t.weight, q.request_id
from inference.queue_tenants t left join lateral (
  select request_id from inference.queue
  where tenant = t.tenant and dispatched_at is null and verdict = '' and deadline > :now
  order by priority desc, request_id limit :free
) q on true
where t.waiting > 0
""")
"""What each tenant has of the queue, once for each of its requests that could go, in their order; or once."""

DISPATCH = text("""
update inference.queue set dispatched_at = :now
where request_id = any(cast(:ids as uuid[])) and dispatched_at is null and verdict = ''
returning request_id, tenant, command, context
""")

SETTLE = text("""
with served as (
  update inference.queue_tenants t set waiting = t.waiting - g.many, finish = g.finish
  from unnest(cast(:tenant as uuid[]), cast(:many as int[]), cast(:finish as float8[])) as g(tenant, many, finish)
  where t.tenant = g.tenant
)
update inference.queue_clock set virtual = :virtual, ended = :ended, since = :since, measured_at = :measured_at
""")
"""Note who took turns, and set the clock."""

FIND = text("""
select q.about, q.tenant, (
  select count(*) from inference.queue o
  where o.tenant = q.tenant and o.dispatched_at is null and o.verdict = ''
    and (o.priority > q.priority or o.priority = q.priority and o.request_id < q.request_id)
) as ahead
from inference.queue q where q.request_id = :id and q.dispatched_at is null
""")
