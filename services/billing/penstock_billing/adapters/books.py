"""The books as one open transaction."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic

from penstock_billing.adapters.at_once import post_new
from penstock_billing.adapters.ledger import SqlLedger
from penstock_billing.adapters.prices import SqlPrices
from penstock_billing.domain.charge import Charge
from penstock_billing.ports import M
from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import GenerationCompleted
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
    _known: dict[int, Price] = field(default_factory=dict)
    """Prices read before: a version never changes."""

    async def prices(self, versions: Collection[int]) -> Mapping[int, Price]:
        """Those of these versions that have arrived."""
        if missing := set(versions) - self._known.keys():
            async with self.database.reading() as connection:
                self._known.update(await SqlPrices(connection).named(missing))
        return self._known

    async def post_new(self, events: Sequence[GenerationCompleted], charges: Sequence[Charge]) -> bool:
        """Write charges in one statement; False, and nothing is written, where that can't be done."""
        return await post_new(self.database, events, charges)

    @asynccontextmanager
    async def transaction(self, messages: M | Sequence[M]) -> AsyncIterator[SqlBooks[M]]:
        """Begin with the inbox rows of the messages; commit at the end of the block."""
        async with self.database.transaction(messages) as transaction:
            yield SqlBooks(transaction)
