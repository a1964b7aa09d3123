"""The scheduler's SQL."""

from sqlalchemy import text

LOCK = text("select pg_advisory_xact_lock(hashtextextended(cast(:id as text), 7))")
REMOVED = text("select exists (select from scheduler.removals where id = :id and tenant = :tenant)")
KNOWN = text("""
select timing::text as timing, is_paused, next_at from scheduler.schedules where id = :id and tenant = :tenant
for update
""")
SAVE = text("""
insert into scheduler.schedules
    (id, tenant, key_id, name, task, timing, sealed, misfire, is_paused, next_at, saved_at, version)
values (:id, :tenant, :key_id, :name, :task, cast(:timing as jsonb), :sealed, :misfire, :is_paused, :next_at,
        :saved_at, 1)
on conflict (id) do update set
    key_id = excluded.key_id, name = excluded.name, task = excluded.task, timing = excluded.timing,
    sealed = excluded.sealed, misfire = excluded.misfire, is_paused = excluded.is_paused,
    next_at = excluded.next_at, retry_at = '-infinity', saved_at = excluded.saved_at, version = schedules.version + 1
where schedules.tenant = excluded.tenant and schedules.saved_at < excluded.saved_at
returning version
""")
BURY = text("""
insert into scheduler.removals (id, tenant, removed_at) values (:id, :tenant, :removed_at) on conflict do nothing
""")
REMOVE = text("delete from scheduler.schedules where id = :id and tenant = :tenant returning version")
COLUMNS = """
id, name, timing::text as timing, task, misfire, version, saved_at, is_paused, next_at, last_at, last_run_id
"""
ONE = text(f"select {COLUMNS}, sealed from scheduler.schedules where tenant = :tenant and id = :id")
PAGE = text(f"""
select {COLUMNS} from scheduler.schedules
where tenant = :tenant and (cast(:after as uuid) is null or id > :after) order by id limit :limit
""")
TOTAL = text("select count(*) from scheduler.schedules where tenant = :tenant")
CLAIM = text("""
select id, tenant, key_id, task, timing::text as timing, misfire, next_at, sealed from scheduler.schedules
where next_at <= :now and retry_at <= :now order by next_at limit :limit for update skip locked
""")
TICK = text("""
insert into scheduler.ticks (schedule_id, due_at, run_id)
select :id, due_at, run_id from unnest(cast(:due as timestamptz[]), cast(:run as uuid[])) as g(due_at, run_id)
order by due_at on conflict do nothing returning due_at, run_id
""")
MOVE = text("""
update scheduler.schedules set next_at = :next_at,
    last_at = coalesce(:last_at, last_at), last_run_id = coalesce(cast(:last_run_id as uuid), last_run_id)
where id = :id
""")
PUT_OFF = text("update scheduler.schedules set retry_at = :until where id = :id")
EARLIEST = text("select min(greatest(next_at, retry_at)) from scheduler.schedules where next_at is not null")
FORGET = (
    text("delete from scheduler.ticks where due_at < :before"),
    text("delete from scheduler.removals where removed_at < :before"),
)
