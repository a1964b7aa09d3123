"""The books as one open transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic

from penstock_billing.adapters.ledger import SqlLedger
from penstock_billing.adapters.prices import SqlPrices
from penstock_billing.ports import M
from penstock_common.db.transaction import Database, Transaction


class SqlBooks(Generic[M]):
    """Inbox, ledger, prices and outbox, committed together."""

    def __init__(self, transaction: Transaction[M]) -> None:
        self.fresh: Sequence[M] = transaction.fresh
        self.prices = SqlPrices(transaction.connection)
        self.ledger = SqlLedger(transaction.connection)
        self.publish = transaction.publish


@dataclass(frozen=True, slots=True)
class SqlDeps:
    """What the handlers get in a running service."""

    database: Database

    @asynccontextmanager
    async def transaction(self, messages: M | Sequence[M]) -> AsyncIterator[SqlBooks[M]]:
        """Begin with the inbox rows of the messages; commit at the end of the block."""
        async with self.database.transaction(messages) as transaction:
            yield SqlBooks(transaction)
