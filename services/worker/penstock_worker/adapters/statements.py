"""The statements behind runs. A lease is measured by the database's clock alone."""

from sqlalchemy import text

CLAIMABLE = """
select exists (select from worker.runs where state in ('queued', 'running') and lease_until <= now())
"""
CLAIM = text("""
update worker.runs r
set state = 'running', owner = :owner, epoch = epoch + 1, deaths = deaths + (r.state = 'running')::int,
    lease_until = clock_timestamp() + make_interval(secs => :lease), started_at = coalesce(started_at, now())
from (
    select id from worker.runs where state in ('queued', 'running') and lease_until <= now()
    order by id limit :limit for update skip locked
) free
where r.id = free.id
returning r.id, r.tenant, r.key_id, r.task, r.trigger, r.source_id, r.due_at, r.depth, r.epoch, r.deaths,
          r.cancel_reason, r.traceparent, r.replay, r.effects
""")

CONTENT = text("select sealed, sealed_task, task_id from worker.runs where id = :id")

ENTRIES = text("""
select version, at, kind, step, sealed from worker.entries where run_id = :id and version > :after
order by version limit :limit
""")

APPEND = text("""
with held as (
    update worker.runs
    set version = version + 1, step = step + :done, steps = greatest(steps, :steps),
        deaths = case when :done = 1 then 0 else deaths end,
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    where id = :id and owner = :owner and epoch = :epoch and state = 'running'
    returning version, step
)
insert into worker.entries (run_id, version, kind, step, sealed)
select :id, version, :kind, :name, :sealed from held
returning version, at, (select step from held) as done
""")

END = text("""
with held as (
    update worker.runs
    set version = version + 1, state = :state, owner = '', ended_at = now(), error_code = :error_code,
        sealed_output = :output, sealed_error = :error
    where id = :id and owner = :owner and epoch = :epoch and state = 'running'
    returning version, step
)
insert into worker.entries (run_id, version, kind, step, sealed)
select :id, version, 'run.finished', '', :sealed from held
returning version, (select step from held) as done
""")

RELEASE = text("""
update worker.runs
set state = 'queued', owner = '', lease_until = clock_timestamp() + make_interval(secs => :delay)
where id = :id and owner = :owner and epoch = :epoch and state = 'running'
""")

BEAT = text("""
update worker.runs r set lease_until = clock_timestamp() + make_interval(secs => :lease)
from unnest(cast(:ids as uuid[]), cast(:epochs as int[])) as g(id, epoch)
where r.id = g.id and r.epoch = g.epoch and r.owner = :owner and r.state = 'running'
returning r.id, r.cancel_reason
""")

CHILDREN = text("""
select id from worker.runs where trigger = 'run' and source_id = :id and state in ('queued', 'running')
""")

WAKE = text("update worker.runs set lease_until = now() where id = :id and state = 'queued'")

CHILD = text("select id, state, sealed_output, sealed_error, error_code from worker.runs where id = :id")

MAKE_MEMORY = text("""
insert into worker.memories (tenant, task, key_mac) values (:tenant, :task, :mac) on conflict do nothing
""")
READ_MEMORY = text("""
select sealed from worker.memories where tenant = :tenant and task = :task and key_mac = :mac for update
""")
WRITE_MEMORY = text("""
update worker.memories set sealed = :sealed, changed_at = now()
where tenant = :tenant and task = :task and key_mac = :mac
""")
