"""The books: entries and postings written together, a batch a statement."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_billing.domain.entries import Book, Entry, Known
from penstock_billing.domain.errors import EntryDiffers
from penstock_common.ids import uuid7

log = structlog.get_logger()
REPEATED = Counter("penstock_billing_repeated_entries", "Entries that were in the book already", ["book", "same"])

COLUMNS = {
    "book": "text",
    "source_key": "text",
    "request_id": "uuid",
    "attempt": "integer",
    "kind": "text",
    "tenant": "uuid",
    "key_id": "uuid",
    "model": "text",
    "prompt_tokens": "bigint",
    "completion_tokens": "bigint",
    "cached_tokens": "bigint",
    "measure": "text",
    "outcome": "text",
    "currency": "text",
    "price_version": "bigint",
    "corrects": "uuid",
    "occurred_at": "timestamptz",
}
"""The columns of an entry, with their types."""

_NAMES = ", ".join(COLUMNS)
_ARRAYS = ", ".join(f"cast(:{name} as {type_}[])" for name, type_ in COLUMNS.items())
# One order for all, so that two transactions with the same entries wait for one another instead of deadlocking.
POST = f"""
with entered as (
    insert into billing.entries (id, {_NAMES})
    select * from unnest(cast(:id as uuid[]), {_ARRAYS}) as g(id, {_NAMES}) order by book, source_key
    on conflict (book, source_key) do nothing returning id, source_key
), posted as (
    insert into billing.postings (entry_id, account, amount_nano)
    select p.* from unnest(cast(:entry as uuid[]), cast(:account as text[]), cast(:amount as bigint[]))
        as p(entry_id, account, amount_nano)
    join entered on entered.id = p.entry_id
)
select source_key, id from entered
"""
KNOWN = """
select source_key, attempt, outcome, currency, price_version,
       prompt_tokens, completion_tokens, cached_tokens, measure
from billing.entries e
join unnest(cast(:book as text[]), cast(:source_key as text[])) as g(book, source_key) using (book, source_key)
"""


FIND = """
select id, measure, array_agg(account) as accounts, array_agg(amount_nano) as amounts
from billing.entries join billing.postings on entry_id = id
where book = :book and source_key = :source_key group by id
"""


class SqlLedger:
    """The books in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def post(self, entries: Sequence[Entry]) -> set[str]:
        """Write entries with their postings; returns the source keys written now.

        An entry that is there already is left alone. Raises EntryDiffers where the customer's has other numbers.
        """
        if not entries:
            return set()
        by_id = {uuid7(): entry for entry in entries}
        rows = (await self.connection.execute(text(POST), parameters(by_id))).all()
        written = {row.id for row in rows}
        if repeated := [entry for id_, entry in by_id.items() if id_ not in written]:
            await self._compare(repeated)
        return {row.source_key for row in rows}

    async def find(self, book: Book, source_key: str) -> Known:
        """The entry under a source key. Raises LookupError."""
        given = {"book": book.value, "source_key": source_key}
        row = (await self.connection.execute(text(FIND), given)).one_or_none()
        if row is None:
            raise LookupError(f"no entry {source_key} in the {book.value} book")
        return Known(row.id, row.measure, dict(zip(row.accounts, row.amounts, strict=True)))

    async def _compare(self, repeated: Sequence[Entry]) -> None:
        given = {"book": [e.book.value for e in repeated], "source_key": [e.source_key for e in repeated]}
        rows = await self.connection.execute(text(KNOWN), given)
        known = {row.source_key: tuple(row)[1:] for row in rows}
        for entry in repeated:
            same = known[entry.source_key] == entry.numbers
            REPEATED.labels(entry.book.value, str(same).lower()).inc()
            log.info("entry.repeated", book=entry.book.value, source_key=entry.source_key, same=same)
            if not same and entry.book is Book.CUSTOMER:
                raise EntryDiffers(f"{entry.source_key} is in the customer book with other numbers")


def parameters(by_id: Mapping[UUID, Entry]) -> dict[str, Sequence[Any]]:
    """The entries and their postings, one array a column."""
    columns = dict(zip(COLUMNS, zip(*map(values_of, by_id.values()), strict=True), strict=True))
    postings = [(id_, account, amount) for id_, e in by_id.items() for account, amount in e.postings.items()]
    entry_ids, accounts, amounts = zip(*postings, strict=True)
    return {"id": list(by_id), **columns, "entry": entry_ids, "account": accounts, "amount": amounts}


def values_of(entry: Entry) -> tuple[Any, ...]:
    """An entry's columns, in the order of `COLUMNS`."""
    e, tokens = entry, entry.tokens
    what = (e.book.value, e.source_key, e.request_id, e.attempt, e.kind, e.tenant, e.key_id, e.model)
    counts = (tokens.prompt, tokens.completion, tokens.cached, tokens.measure.value)
    return (*what, *counts, e.outcome, e.currency, e.price_version, e.corrects, e.occurred_at)
