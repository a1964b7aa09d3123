"""The statements of `inference.generations`: each commits by itself, and each decides by the row alone."""

from sqlalchemy import text

COLUMNS = {
    "request_id": "uuid",
    "attempt": "int",
    "outcome": "text",
    "nonce": "uuid",
    "tenant": "uuid",
    "key_id": "uuid",
    "model": "text",
    "asked": "text",
    "deployment": "text",
    "provider": "text",
    "price_version": "bigint",
    "streamed": "bool",
    "includes_usage": "bool",
    "lane": "text",
    "prompt_tokens": "int",
    "completion_tokens": "int",
    "cached_tokens": "int",
    "reasoning_tokens": "int",
    "measure": "text",
    "error_code": "text",
    "sealed": "bytea",
    "accepted_at": "timestamptz",
    "deadline": "timestamptz",
    "started_at": "timestamptz",
    "first_token_at": "timestamptz",
    "ended_at": "timestamptz",
    "decisions": "text",
}
OUTBOX = {
    "out_day": "date",
    "out_id": "uuid",
    "out_subject": "text",
    "out_stream": "text",
    "out_message_id": "text",
    "out_headers": "text",
    "out_body": "bytea",
}


def _value(name: str) -> str:
    return "cast(decisions as jsonb)" if name == "decisions" else name


def _replaced(name: str) -> str:
    """An end replaces what its row says, but for the claims that led to it."""
    claims = "jsonb_path_query_array(r.decisions, '$[*] ? (@.step == \"claim\")') || "
    return f"{name} = {claims if name == 'decisions' else ''}excluded.{name}"


HELD_MS = 250  # for a row that somebody else holds; the other ends of the group wait as long
_PATIENCE = f"(select set_config('lock_timeout', '{HELD_MS}', true)) as patience"
_GIVEN = COLUMNS | OUTBOX
_ARRAYS = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_GIVEN.values(), 1))
_VALUES = ", ".join(f"${n}::{kind} as {name}" for n, (name, kind) in enumerate(_GIVEN.items(), 1))


def _finish(given: str) -> str:
    return f"""
with given as ({given}), won as (
  insert into inference.generations as r ({", ".join(COLUMNS)})
  select {", ".join(map(_value, COLUMNS))} from given
  on conflict (request_id) do update set {", ".join(_replaced(c) for c in COLUMNS if c != "request_id")}
  where r.outcome = 'running' and r.attempt <= excluded.attempt
  returning r.request_id
), said as (
  insert into inference.outbox (day, id, subject, stream, message_id, headers, body)
  select out_day, out_id, out_subject, out_stream, out_message_id, cast(out_headers as jsonb), out_body
  from given join won using (request_id)
)
select request_id from won
"""


FINISH = _finish(f"select g.* from {_PATIENCE}, unnest({_ARRAYS}) as g({', '.join(_GIVEN)}) order by request_id")
"""Record ends, given as one array a column: one upsert and its outbox rows in one statement.

Gives the requests whose end counts.
"""

FINISH_ONE = _finish(f"select {_VALUES} from {_PATIENCE}")
"""The same for a single end, given as one value a column: most of a small platform's are."""

NONCES = "select request_id, nonce from inference.generations where request_id = any($1::uuid[])"
"""Whose end was recorded, where the outcome of an earlier commit is unknown."""

_RUNNING = """
  (request_id, attempt, outcome, owner, tenant, key_id, model, asked, streamed, includes_usage, lane,
   accepted_at, deadline, claimed_at, decisions)
values (:request_id, {attempt}, 'running', :owner, :tenant, :key_id, :model, :asked, :streamed, :includes_usage, :lane,
        :accepted_at, :deadline, now(), cast(:decisions as jsonb){claimed})
"""


def _claimed(attempt: str) -> str:
    """Added to a row's decisions, so that each attempt of a request can be told of."""
    outcome = f"'attempt ' || {attempt}"
    return f" || jsonb_build_object('step', 'claim', 'outcome', {outcome}, 'reason', cast(:owner as text))"


CLAIM = text(f"""
insert into inference.generations as r{_RUNNING.format(attempt=2, claimed=_claimed("2"))}
on conflict (request_id) do update set attempt = r.attempt + 1, owner = excluded.owner, claimed_at = now(),
  decisions = r.decisions{_claimed("(r.attempt + 1)")}
where r.outcome = 'running'
returning attempt
""")

CONFIRM = text(f"""
insert into inference.generations as r{_RUNNING.format(attempt=":attempt", claimed="")}
on conflict (request_id) do update set owner = excluded.owner
where r.outcome = 'running' and r.attempt = excluded.attempt
returning attempt
""")

READ = """
select request_id, attempt, outcome, tenant, key_id, model, asked, streamed, includes_usage, lane,
  accepted_at, deadline,
  prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, measure, error_code,
  started_at, first_token_at, ended_at, decisions::text as decisions,
  sealed is not null as is_kept, case when $2 then sealed end as sealed
from inference.generations where request_id = any($1)
"""
"""Rows, their answers only where they are asked for."""

CANCELLED = text("select true from inference.cancellations where request_id = :id")
MARK_CANCELLED = text("""
insert into inference.cancellations (request_id, tenant, reason)
values (:id, :tenant, :reason) on conflict do nothing
""")
