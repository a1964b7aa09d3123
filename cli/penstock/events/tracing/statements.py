"""What each service's own tables say, by id. Only ids, counts, times and states: text rests sealed and stays so."""

REQUESTS = """
select request_id, tenant, key_id, model, streamed, lane, status, attempt, decisions, accepted_at, deadline, ended_at
from api.requests where request_id = any($1::uuid[])
"""
GENERATIONS = """
select request_id, tenant, key_id, model, deployment, provider, outcome, attempt, owner, streamed, lane, price_version,
       prompt_tokens, completion_tokens, cached_tokens, measure, error_code, decisions, accepted_at, deadline,
       claimed_at, started_at, first_token_at, ended_at
from inference.generations where request_id = any($1::uuid[])
"""
QUEUED = """
select request_id, priority, deadline, verdict, dispatched_at from inference.queue where request_id = any($1::uuid[])
"""
STOPS = "select request_id, reason, requested_at from inference.cancellations where request_id = any($1::uuid[])"
CHARGES = """
select e.id, e.request_id, e.book, e.attempt, e.kind, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.measure,
       e.currency, e.price_version, e.corrects, e.posted_at,
       coalesce(sum(p.amount_nano) filter (where p.amount_nano > 0), 0)::bigint as amount_nano
from billing.entries e left join billing.postings p on p.entry_id = e.id
where e.request_id = any($1::uuid[]) group by e.id order by e.id
"""
CALLBACKS = """
select request_id, state, attempts, next_at, settled_at from api.callbacks where request_id = any($1::uuid[])
"""
RUNS = """
select id, tenant, key_id, task, trigger, source_id, due_at, depth, state, version, step, steps, owner, deaths,
       traceparent, error_code, created_at, started_at, ended_at
from worker.runs where id = any($1::uuid[]) or (trigger = 'run' and source_id = any($2::text[]))
order by id limit {most}
"""
ENTRIES = """
select run_id, version, at, kind from worker.entries where run_id = any($1::uuid[])
order by run_id, version limit {most}
"""
TICKS = "select schedule_id, due_at, run_id, fired_at from scheduler.ticks where run_id = any($1::uuid[])"
DOCUMENTS = """
select id, base_id, tenant, key_id, state, version, chunks, pages, attempts, error_code, traceparent, created_at,
       parsed_at, changed_at
from indexer.documents where id = any($1::uuid[])
"""
IS_KEY = "select true from api.keys where id = $1"

BY_ID = {
    "requests": ("request_id", REQUESTS),
    "generations": ("request_id", GENERATIONS),
    "queued": ("request_id", QUEUED),
    "stops": ("request_id", STOPS),
    "callbacks": ("request_id", CALLBACKS),
    "ticks": ("run_id", TICKS),
    "documents": ("id", DOCUMENTS),
}
"""By the name among the facts: the column that is the id, and the statement."""

CHAIN = """
select day, id, subject, stream, message_id, headers, created_at, published_at, ''::bytea as body
from {service}.outbox
where day >= $1 and day <= $2 and id >= $3 and id < $4 and (
    headers ->> 'penstock-correlation' = any($5::text[]) or left(message_id, 36) = any($5::text[])
    or subject = any($7::text[]) and split_part(headers ->> 'traceparent', '-', 2) = any($6::text[])
)
order by id limit {most}
"""
OF_TRACE = """
select day, id, subject, stream, message_id, headers, created_at, published_at, ''::bytea as body
from {service}.outbox
where day >= $1 and day <= $2 and id >= $3 and id < $4 and split_part(headers ->> 'traceparent', '-', 2) = $5
order by id limit {most}
"""
LETTERS = """
select id, consumer, message_id, state, code, attempts, first_failed_at, last_failed_at
from api.dead_letters where message_id = any($1::text[]) order by id
"""
HANDLED = """
select i.consumer, i.message_id, i.handled_at from {service}.inbox i
join unnest($1::date[], $2::text[], $3::text[]) as g(day, consumer, message_id)
on i.day = g.day and i.consumer = g.consumer and i.message_id = g.message_id
"""
