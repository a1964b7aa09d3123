"""Billing's handlers on a real PostgreSQL, fed by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from penstock_billing.adapters.books import SqlDeps
from penstock_billing.adapters.usage import SqlUsage
from penstock_billing.subscribers import on_attempt_costed, on_catalogue_changed, on_generation_completed
from penstock_common.contracts.base import Contract
from penstock_common.contracts.billing import ReadUsage, UsageReport
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price
from penstock_common.contracts.generation import AttemptCosted, GenerationCompleted, Outcome, Tokens
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Incoming
from penstock_common.topology import PLATFORM
from tests.support.deliveries import MemorySettler, delivered

TENANT, KEY = uuid7(), uuid7()
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRICE = Price(
    version=7,
    currency="USD",
    input_nano=100_000,
    output_nano=200_000,
    cached_input_nano=50_000,
    provider_input_nano=30_000,
    provider_output_nano=60_000,
)
HANDLERS = {
    GenerationCompleted: on_generation_completed,
    AttemptCosted: on_attempt_costed,
    CatalogueChanged: on_catalogue_changed,
}


def a_completion(prompt: int = 40, completion: int = 2, cached: int = 0, **changes: Any) -> GenerationCompleted:
    """The end of a request that went well."""
    given: dict[str, Any] = {
        "request_id": uuid7(),
        "attempt": 1,
        "tenant": TENANT,
        "key_id": KEY,
        "model": "sim/fast",
        "deployment": "sim:fast",
        "provider": "simulated",
        "outcome": Outcome.SUCCEEDED,
        "tokens": Tokens(prompt, completion, cached),
        "price_version": PRICE.version,
        "streamed": False,
        **dict.fromkeys(("accepted_at", "started_at", "completed_at"), NOON),
    }
    return GenerationCompleted(**given | changes)


def a_cost(attempt: int = 1, tokens: Tokens = Tokens(40, 2), **changes: Any) -> AttemptCosted:  # noqa: B008 (frozen)
    """What an attempt cost that nobody pays for."""
    given: dict[str, Any] = {
        "request_id": uuid7(),
        "attempt": attempt,
        "tenant": TENANT,
        "model": "sim/fast",
        "deployment": "sim:fast",
        "provider": "simulated",
        "tokens": tokens,
        "price_version": PRICE.version,
        "completed_at": NOON,
    }
    return AttemptCosted(**given | changes)


def a_catalogue(*prices: Price, version: int = 1) -> CatalogueChanged:
    """A catalogue of one model a price."""
    models = [
        CatalogueModel(name=f"sim/{p.version}", engine="sim", provider="simulated", price=p, simulated=True)
        for p in prices or (PRICE,)
    ]
    return CatalogueChanged(version=version, models=models)


class Billing:
    """One billing process without its bus."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, "billing", PLATFORM)
        self.settler = MemorySettler()
        self.delivery = Delivery(self.settler)
        self.deps = SqlDeps(self.database)

    async def receive(self, *events: Contract, times: int = 1, ids: tuple[str, ...] = ()) -> None:
        """Deliver events of one kind in one batch, `times` over; ids are those that their owners give them."""
        messages = [delivered(e, ids[n] if ids else id_of(e)) for n, e in enumerate(events)]
        for _ in range(times):
            await self.deliver(type(events[0]), messages)

    async def deliver(self, contract: type[Contract], messages: list[Incoming]) -> None:
        """Give deliveries to the handler of their contract, as the runtime does."""
        handler = HANDLERS[contract]
        lane = PLATFORM.consumer("billing", handler.__name__)

        async def batch(given: Any) -> None:
            await handler([opened(m, contract) for m in given], self.deps)

        async def single(given: Incoming) -> None:
            await handler(opened(given, contract), self.deps)

        if lane.batch:
            await self.delivery.run_batch(batch, messages, lane)
            return
        for message in messages:
            await self.delivery.run(single, message, lane)

    async def fetch(self, statement: str, **given: Any) -> list[Any]:
        """Rows as tuples; single columns as values."""
        async with self.database.engine.begin() as connection:
            rows = [tuple(row) for row in await connection.execute(text(statement), given)]
        return [row[0] if len(row) == 1 else row for row in rows]

    async def charged(self, request_id: UUID) -> list[int]:
        """The amounts on customer accounts for a request, in nano units."""
        statement = """select amount_nano from billing.postings join billing.entries on id = entry_id
                       where request_id = :id and account like 'customer:%'"""
        return await self.fetch(statement, id=request_id)

    async def published(self) -> list[str]:
        """The message ids in the outbox, oldest first."""
        return await self.fetch("select message_id from billing.outbox order by id")

    async def usage(self, **question: Any) -> UsageReport:
        """What the ledger says."""
        return await SqlUsage(self.database).read(ReadUsage(**question))


def id_of(event: Contract) -> str:
    """The message id that inference gives an event."""
    if isinstance(event, GenerationCompleted):
        return f"{event.request_id}.completed"
    return f"{event.request_id}.{event.attempt}.costed" if isinstance(event, AttemptCosted) else ""


@asynccontextmanager
async def billing_process(url: str) -> AsyncIterator[Billing]:
    """A process with a price, its connections closed afterwards."""
    billing = Billing(url)
    try:
        await billing.receive(a_catalogue())
        yield billing
    finally:
        await billing.database.close()
