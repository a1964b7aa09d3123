"""New charges as one statement, which commits by itself: inbox, books and outbox in one round trip."""

from collections.abc import Sequence

from asyncpg import UndefinedObjectError, UniqueViolationError

from penstock_billing.domain.charge import Charge
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.db import inbox
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database, deliveries_of, outbox_row
from penstock_common.ids import text_of, uuid7_texts
from penstock_common.messaging.delivery import DELIVERED
from penstock_common.messaging.envelope import FINGERPRINT
from penstock_common.messaging.ports import Incoming

_SHARED = (
    "request_id, attempt, tenant, key_id, model, prompt_tokens, completion_tokens, cached_tokens, measure, outcome, "
    "currency, price_version, occurred_at"
)
# Inbox and entries in the order of other transactions, so that two with the same rows wait for one another instead of
# deadlocking; the ids of postings and outbox rows are nobody else's.
STATEMENT = f"""
with given as materialized (select * from unnest($1::billing.charge_v1[])),
heard as (
    insert into billing.inbox (day, consumer, message_id, fingerprint)
    select day, $2, message_id, fingerprint from given order by 1, 2, 3
), entered as (
    insert into billing.entries (id, book, kind, source_key, {_SHARED})
    select b.id, b.book, b.kind, b.source_key, {_SHARED} from given cross join lateral (values
        (customer_id, 'customer', 'usage', customer_key), (provider_id, 'provider', 'cost', provider_key)
    ) as b(id, book, kind, source_key) where b.id is not null order by b.book, b.source_key
), posted as (
    insert into billing.postings (entry_id, account, amount_nano)
    select p.* from given cross join lateral (values
        (customer_id, customer_debit, customer_nano), (customer_id, customer_credit, -customer_nano),
        (provider_id, provider_debit, provider_nano), (provider_id, provider_credit, -provider_nano)
    ) as p(entry_id, account, amount_nano) where p.entry_id is not null
)
insert into billing.outbox (day, id, subject, stream, message_id, headers, body)
select fact_day, fact_id, $3, $4, fact_message_id, cast(fact_headers as jsonb), fact_body from given
"""
"""Nothing is left alone on conflict: where anything is there already, all of it fails."""

_NO_COST = (None,) * 5


async def post_new(database: Database, events: Sequence[GenerationCompleted], charges: Sequence[Charge]) -> bool:
    """Write charges of the running handler's events; False, and nothing is written, where that can't be done."""
    deliveries, topology = deliveries_of(events), database.topology
    delivered = DELIVERED.get()
    assert delivered is not None
    facts = [
        outbox_row(topology, charge.fact, f"{text_of(charge.fact.request_id)}.usage", delivery)
        for charge, delivery in zip(charges, deliveries, strict=True)
    ]
    ids = uuid7_texts(2 * len(charges))
    rows = [_row(*each) for each in zip(deliveries, charges, facts, zip(ids[::2], ids[1::2], strict=True), strict=True)]
    told = facts[0].outgoing
    try:
        await database.at_once(STATEMENT, (rows, delivered[0].inbox_name, told.subject, told.stream), facts)
    except (UniqueViolationError, UndefinedObjectError):  # the latter where the schema is a release behind
        return False
    return True


def _row(delivery: Incoming, charge: Charge, fact: OutboxRow, ids: tuple[str, str]) -> tuple[object, ...]:
    """A charge as billing.charge_v1: both entries have the same numbers, and two postings each."""
    e, tokens, out = charge.customer, charge.customer.tokens, fact.outgoing
    (customer_debit, nano), (customer_credit, _) = e.postings.items()
    cost: Sequence[object] = _NO_COST
    if (p := charge.provider) is not None:
        (debit, cost_nano), (credit, _) = p.postings.items()
        cost = (ids[1], p.source_key, debit, credit, cost_nano)
    return (
        *(inbox.day(delivery.message_id), delivery.message_id, delivery.headers.get(FINGERPRINT, "")),
        *(e.request_id, e.attempt, e.tenant, e.key_id, e.model, tokens.prompt, tokens.completion, tokens.cached),
        *(tokens.measure.value, e.outcome, e.currency, e.price_version, e.occurred_at),
        *(ids[0], e.source_key, customer_debit, customer_credit, nano),
        *cost,
        *(fact.day, fact.id, out.message_id, fact.headers_json, out.body),
    )
