"""Billing's handlers: dedupe, load, one domain call, post, publish."""

from collections.abc import Sequence

from penstock_billing.domain.charge import Charge, charge_for, correction, cost_for, price_for
from penstock_billing.ports import Deps
from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.contracts.generation import AttemptCosted, GenerationCompleted
from penstock_common.messaging.router import Router

router = Router("billing")


@router.on_batch(GenerationCompleted, size=256, within_ms=100)
async def on_generation_completed(events: Sequence[GenerationCompleted], deps: Deps) -> None:
    """Charge the customers, and book what the providers cost us, once."""
    prices = await deps.prices({e.price_version for e in events})
    charges = [charge_for(event, price_for(event, prices)) for event in events]
    if not await deps.post_new(events, charges):
        await _post_what_is_new(events, charges, deps)


async def _post_what_is_new(events: Sequence[GenerationCompleted], charges: Sequence[Charge], deps: Deps) -> None:
    charge_of = {id(event): charge for event, charge in zip(events, charges, strict=True)}
    async with deps.transaction(events) as tx:
        fresh = [(event, charge_of[id(event)]) for event in tx.fresh]
        posted = await tx.ledger.post([entry for _, charge in fresh for entry in charge.entries])
        for event, charge in fresh:
            if charge.customer.source_key in posted:
                posted.discard(charge.customer.source_key)
                tx.publish(charge.fact, message_id=f"{event.request_id}.usage", because_of=event)


@router.on(AttemptCosted)
async def on_attempt_costed(event: AttemptCosted, deps: Deps) -> None:
    """Book what an attempt cost us that no customer pays for; its cost corrects what was estimated."""
    async with deps.transaction(event) as tx:
        prices = await tx.prices.named({event.price_version})
        entry = cost_for(event, price_for(event, prices))
        if await tx.ledger.post([entry]):
            return
        known = await tx.ledger.find(entry.book, entry.source_key)
        if corrected := correction(entry, known):
            await tx.ledger.post([corrected])


@router.on(CatalogueChanged)
async def on_catalogue_changed(event: CatalogueChanged, deps: Deps) -> None:
    """Keep every price the catalogue ever had; a version never changes, so the order of events does not matter."""
    async with deps.transaction(event) as tx:
        await tx.prices.add(event.models)
