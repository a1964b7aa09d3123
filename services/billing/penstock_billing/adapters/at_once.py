"""New charges as one statement, which commits by itself: inbox, books and outbox in one round trip."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from asyncpg import UniqueViolationError

from penstock_billing.adapters.ledger import COLUMNS, values_of
from penstock_billing.domain.charge import Charge
from penstock_billing.domain.entries import Entry
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.db import inbox
from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database, deliveries_of, outbox_row
from penstock_common.ids import uuid7

INBOX = {"day": "date", "consumer": "text", "message_id": "text", "fingerprint": "text"}
ENTRIES = {"id": "uuid", **COLUMNS}
POSTINGS = {"entry_id": "uuid", "account": "text", "amount_nano": "bigint"}
OUTBOX = {
    "day": "date",
    "id": "uuid",
    "subject": "text",
    "stream": "text",
    "message_id": "text",
    "headers": "text",
    "body": "bytea",
}


def _insert(table: str, columns: Mapping[str, str], first: int, order: str) -> str:
    names = ", ".join(columns)
    arrays = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(columns.values(), first))
    values = names.replace("headers", "cast(headers as jsonb)")
    return f"insert into billing.{table} ({names}) select {values} from unnest({arrays}) as g({names}) order by {order}"


# In the order of other transactions, so that two with the same rows wait for one another instead of deadlocking.
_FIRST = (1, 1 + len(INBOX), 1 + len(INBOX) + len(ENTRIES), 1 + len(INBOX) + len(ENTRIES) + len(POSTINGS))
STATEMENT = f"""
with heard as ({_insert("inbox", INBOX, _FIRST[0], "1, 2, 3")}),
entered as ({_insert("entries", ENTRIES, _FIRST[1], "book, source_key")}),
posted as ({_insert("postings", POSTINGS, _FIRST[2], "1, 2")})
{_insert("outbox", OUTBOX, _FIRST[3], "2")}
"""
"""Nothing is left alone on conflict: where anything is there already, all of it fails."""


async def post_new(database: Database, events: Sequence[GenerationCompleted], charges: Sequence[Charge]) -> bool:
    """Write charges of the running handler's events; False, and nothing is written, where any was written before."""
    deliveries = deliveries_of(events)
    heard = inbox.columns_of(inbox.fingerprints(deliveries))
    rows = [
        outbox_row(database.topology, charge.fact, f"{charge.fact.request_id}.usage", delivery)
        for charge, delivery in zip(charges, deliveries, strict=True)
    ]
    entries = {uuid7(): entry for charge in charges for entry in charge.entries}
    try:
        await database.at_once(STATEMENT, (*heard.values(), *_books(entries), *_columns(rows)), rows)
    except UniqueViolationError:
        return False
    return True


def _books(entries: Mapping[UUID, Entry]) -> tuple[Sequence[object], ...]:
    """One array a column of the entries, then of their postings."""
    lines = [(id_, account, amount) for id_, e in entries.items() for account, amount in e.postings.items()]
    written = [(id_, *values_of(entry)) for id_, entry in entries.items()]
    return (*zip(*written, strict=True), *zip(*lines, strict=True))


def _columns(rows: Sequence[OutboxRow]) -> tuple[Sequence[object], ...]:
    return tuple(zip(*(row.values for row in rows), strict=True))
