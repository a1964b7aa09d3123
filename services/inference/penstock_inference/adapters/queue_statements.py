"""The statements of `inference.queue`, of its tenants and its clock; those that write hold the queue's lock."""

from sqlalchemy import text

LOCK = text("select pg_advisory_xact_lock(hashtextextended('inference.queue', 0))")
"""One writer at a time: so the counts of tenants are exact, and no slot is given twice."""

ANYTHING = text("select exists (select from inference.queue)")
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
delete from inference.queue q using inference.generations g
where q.dispatched_at is not null and g.request_id = q.request_id and g.outcome <> 'running'
""")

RUNNING = text("select count(*) from inference.queue where dispatched_at is not null")

OVERDUE = text("""
select command from inference.queue where dispatched_at is not null and deadline < :before limit :most
""")

NEXT = text("""
select q.tenant, q.request_id from inference.queue_tenants t cross join lateral (
  select tenant, request_id from inference.queue
  where tenant = t.tenant and dispatched_at is null and verdict = '' and deadline > :now
  order by priority desc, request_id limit :free
) q
where t.waiting > 0
""")
"""The requests that could go, in the order of each tenant."""

DISPATCH = text("""
update inference.queue set dispatched_at = :now
where request_id = any(cast(:ids as uuid[])) and dispatched_at is null and verdict = ''
returning request_id, tenant, command, context
""")

TAKE_TURNS = text("""
update inference.queue_tenants t set waiting = t.waiting - g.many, finish = g.finish
from unnest(cast(:tenant as uuid[]), cast(:many as int[]), cast(:finish as float8[])) as g(tenant, many, finish)
where t.tenant = g.tenant
""")

SET_CLOCK = text("""
update inference.queue_clock set virtual = :virtual, ended = :ended, since = :since, measured_at = :measured_at
""")

FORGET = text("delete from inference.queue_tenants where waiting = 0 and finish <= :virtual")
"""Who has nothing waiting and owes the clock nothing is as good as new."""

FIND = text("""
select q.about, q.tenant, (
  select count(*) from inference.queue o
  where o.tenant = q.tenant and o.dispatched_at is null and o.verdict = ''
    and (o.priority > q.priority or o.priority = q.priority and o.request_id < q.request_id)
) as ahead
from inference.queue q where q.request_id = :id and q.dispatched_at is null
""")
