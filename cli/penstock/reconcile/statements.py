"""The comparisons that the database makes by itself: each gives (request_id, detail, settles) for what differs."""

LIMIT = 1000
"""Differences of one kind that are reported."""
GRACE_SECONDS = 60
"""How long after its deadline a request may still be without an end."""
OVERDUE = (
    f"coalesce({{row}}.deadline, {{row}}.accepted_at + interval '5 minutes') + interval '{GRACE_SECONDS} s' < now()"
)

_DAY = """cast(to_timestamp(
    cast(cast('x' || left(replace(cast({id} as text), '-', ''), 12) as bit(48)) as bigint) / 1000.0
) at time zone 'UTC' as date)"""
_HANDLED = """exists (
    select from {service}.inbox i where i.consumer = '{service}-on-generation-completed'
    and i.message_id = {id} || '.completed' and i.day = {day}
)"""


def _unhandled(service: str, id_: str) -> str:
    """True while a service has not handled a request's completion: what lacks may still come."""
    return "not " + _HANDLED.format(service=service, id=id_, day=_DAY.format(id=id_))


def _numbers(row: str) -> str:
    """A row's attempt, outcome and tokens as people read them."""
    columns = ("attempt", "outcome", "prompt_tokens", "completion_tokens", "cached_tokens", "measure", "price_version")
    form = "attempt %s %s, %s + %s tokens, %s cached, %s, price %s"
    return f"format('{form}', {', '.join(f'{row}.{c}' for c in columns)})"


_OWED = "case e.book when 'customer' then 'customer:' || e.tenant else 'cost:inference' end"
_AMOUNT = """case
    when e.price_version = 0 and e.prompt_tokens + e.completion_tokens = 0 then 0
    when e.book = 'customer' then (e.prompt_tokens - e.cached_tokens)::numeric * p.input_nano
        + e.cached_tokens::numeric * p.cached_input_nano + e.completion_tokens::numeric * p.output_nano
    else e.prompt_tokens::numeric * p.provider_input_nano + e.completion_tokens::numeric * p.provider_output_nano
end"""
_SAME = ("tenant", "model", "price_version", "prompt_tokens", "completion_tokens", "cached_tokens", "measure")
_DIFFERS = " or ".join(f"e.{column} is distinct from g.{column}" for column in _SAME)
_CUSTOMER = "e.book = 'customer' and e.corrects is null"

LEDGER = {
    "not_charged": f"""
        select g.request_id, {_numbers("g")} || ' was never charged', {_unhandled("billing", "g.request_id")}
        from inference.generations g
        left join billing.entries e on e.request_id = g.request_id and {_CUSTOMER}
        where g.outcome <> 'running' and e.id is null""",
    "charged_without_end": f"""
        select e.request_id, {_numbers("e")} || ' was charged, and inference has no end of it', false
        from billing.entries e
        left join inference.generations g on g.request_id = e.request_id and g.outcome <> 'running'
        where e.book = 'customer' and g.request_id is null""",
    "charged_twice": f"""
        select e.request_id, format('%s entries in the customer book, expected 1', count(*)), false
        from billing.entries e where {_CUSTOMER} group by e.request_id having count(*) > 1""",
    "entry_differs": f"""
        select e.request_id, format('%s entry: %s; inference: %s', e.book, {_numbers("e")}, {_numbers("g")}), false
        from billing.entries e
        join inference.generations g on g.request_id = e.request_id and g.attempt = e.attempt
        where e.corrects is null and g.outcome <> 'running'
        and ({_DIFFERS} or e.book = 'customer' and (e.outcome, e.key_id) is distinct from (g.outcome, g.key_id))""",
    "attempt_differs": f"""
        select e.request_id, format('attempt %s was charged, attempt %s ended it', e.attempt, g.attempt), false
        from billing.entries e join inference.generations g on g.request_id = e.request_id
        where {_CUSTOMER} and g.outcome <> 'running' and e.attempt <> g.attempt""",
    "amount_differs": f"""
        select e.request_id, format('%s entry %s: expected %s nano on %s, found %s', e.book, e.source_key,
            coalesce(cast({_AMOUNT} as text), 'an unknown price'), {_OWED},
            coalesce(cast(o.amount_nano as text), 'no posting')), false
        from billing.entries e
        left join billing.prices p on p.version = e.price_version
        left join billing.postings o on o.entry_id = e.id and o.account = {_OWED}
        where e.corrects is null and o.amount_nano is distinct from {_AMOUNT}""",
    "postings_unbalanced": """
        select e.request_id, format('entry %s: %s postings, expected 2; their sum is %s, expected 0',
            u.entry_id, u.postings, u.total), false
        from (
            select entry_id, count(*) as postings, sum(amount_nano) as total,
                count(*) filter (where account in ('revenue:usage', 'cost:inference')) as ours
            from billing.postings
            group by entry_id
        ) u join billing.entries e on e.id = u.entry_id
        where u.total <> 0 or e.corrects is null and (u.postings <> 2 or u.ours <> 1)""",
    "posting_without_entry": """
        select null, format('entry %s of account %s does not exist', p.entry_id, p.account), false
        from billing.postings p left join billing.entries e on e.id = p.entry_id where e.id is null""",
    "cost_not_booked": f"""
        select g.request_id, {_numbers("g")} || ' is missing in the provider book',
            {_unhandled("billing", "g.request_id")}
        from inference.generations g
        left join billing.entries e on e.request_id = g.request_id and e.attempt = g.attempt and e.book = 'provider'
        where g.outcome <> 'running' and g.provider <> '' and e.id is null""",
    "cost_without_request": """
        select e.request_id, format('%s is booked, and inference has no such request', e.source_key), false
        from billing.entries e left join inference.generations g on g.request_id = e.request_id
        where e.book = 'provider' and g.request_id is null""",
    "fact_differs": f"""
        select coalesce(cast(e.request_id as text), split_part(o.message_id, '.', 1)),
            format('UsageRecorded: %s outbox rows for %s entries, expected one for one',
                coalesce(o.told, 0), case when e.request_id is null then 0 else 1 end), false
        from (select request_id from billing.entries e where {_CUSTOMER}) e
        full join (
            select message_id, count(*) as told from billing.outbox
            where subject = 'billing.usage.recorded.v1' group by message_id
        ) o on o.message_id = e.request_id || '.usage'
        where e.request_id is null or o.told is distinct from 1""",
}
"""The ledger beside what inference ended, its own prices and its own words."""

REQUESTS = {
    "never_ended": f"""
        select g.request_id, format('attempt %s still runs, past its deadline %s', g.attempt, g.deadline), false
        from inference.generations g where g.outcome = 'running' and {OVERDUE.format(row="g")}""",
    "lost": f"""
        select a.request_id, format('api accepted it at %s; inference never ended it', a.accepted_at), false
        from api.requests a left join inference.generations g on g.request_id = a.request_id
        where a.status = 'accepted' and g.request_id is null and {OVERDUE.format(row="a")}""",
    "ended_nowhere": """
        select a.request_id, format('api has it as %s; inference has no row', a.status), false
        from api.requests a left join inference.generations g on g.request_id = a.request_id
        where a.status not in ('accepted', 'refused') and g.request_id is null""",
    "api_missing": f"""
        select g.request_id, format('inference ended it %s; api has no row', g.outcome),
            {_unhandled("api", "g.request_id")}
        from inference.generations g left join api.requests a on a.request_id = g.request_id
        where g.outcome <> 'running' and a.request_id is null""",
    "api_open": f"""
        select g.request_id, format('inference ended it %s; api has it as accepted', g.outcome),
            {_unhandled("api", "g.request_id")}
        from inference.generations g join api.requests a on a.request_id = g.request_id
        where g.outcome <> 'running' and a.status = 'accepted'""",
    "api_differs": """
        select g.request_id, format('inference: attempt %s %s, %s + %s tokens; api: attempt %s %s, %s + %s tokens',
            g.attempt, g.outcome, g.prompt_tokens, g.completion_tokens,
            a.attempt, a.status, a.prompt_tokens, a.completion_tokens), false
        from inference.generations g join api.requests a on a.request_id = g.request_id
        where g.outcome <> 'running' and a.status not in ('accepted', 'refused')
        and (g.attempt, g.outcome, g.tenant, g.key_id, g.prompt_tokens, g.completion_tokens)
            is distinct from (a.attempt, a.status, a.tenant, a.key_id, a.prompt_tokens, a.completion_tokens)""",
}
"""What api accepted beside what inference ended."""

_PRICE = "currency, input_nano, output_nano, cached_input_nano, provider_input_nano, provider_output_nano"
PRICES = {
    "price_differs": f"""
        select null::uuid, format('price version %s: inference %s, billing %s', version,
            coalesce(cast(i.numbers as text), 'has none'), b.numbers), false
        from (select version, row({_PRICE}) as numbers from billing.prices) b
        left join (select version, row({_PRICE}) as numbers from inference.prices) i using (version)
        where cast(i.numbers as text) is distinct from cast(b.numbers as text)""",
}
"""The prices that billing charges beside those that inference set; one that was never used need not have arrived."""

CHECKS = LEDGER | REQUESTS | PRICES

TOTALS = """
select (select count(*) from inference.generations where outcome <> 'running') as requests,
       (select coalesce(sum(amount_nano), 0) from billing.postings where account like 'customer:%') as charged_nano
"""
IN_FLIGHT = f"""
select g.request_id from inference.generations g where g.outcome = 'running' and not {OVERDUE.format(row="g")}
union
select a.request_id from api.requests a left join inference.generations g on g.request_id = a.request_id
where a.status = 'accepted' and g.request_id is null and not {OVERDUE.format(row="a")}
"""
ENDED = """
select g.request_id, g.attempt, g.outcome, g.measure, g.prompt_tokens, g.completion_tokens,
       coalesce(p.simulated, false) as simulated,
       array(
           select e.attempt from billing.entries e where e.request_id = g.request_id and e.book = 'provider'
       ) as booked
from inference.generations g left join billing.prices p on p.version = g.price_version
where g.outcome <> 'running'
"""
"""What inference ended, for the comparison with the engine."""

KNOWN = f"""
select request_id from inference.generations where request_id = any($1::uuid[])
union
select request_id from api.requests a where request_id = any($1::uuid[]) and status = 'accepted'
and not {OVERDUE.format(row="a")}
"""
"""Requests of a list that some record has, or that may still run."""
