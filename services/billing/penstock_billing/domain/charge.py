"""How the end of a request becomes entries of the two books."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from penstock_billing.domain.entries import COST, REVENUE, Book, Entry, Known, customer_account, provider_account
from penstock_billing.domain.errors import PriceUnknown, Unpriced
from penstock_billing.domain.money import charge_nano, cost_nano
from penstock_common.contracts.billing import UsageRecorded
from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import AttemptCosted, GenerationCompleted, Measure
from penstock_common.ids import text_of

NO_PRICE = 0
"""The version that a request names which ended before it had a model."""
UNKNOWN = "unknown"
"""The provider of an attempt that died with its process."""
FREE = Price(version=NO_PRICE, currency="USD", input_nano=0, output_nano=0, cached_input_nano=0)


class Charge(msgspec.Struct, frozen=True):
    """What one completion puts into the books, and what is told of it."""

    customer: Entry
    provider: Entry | None
    """None where no provider was chosen."""
    fact: UsageRecorded

    @property
    def entries(self) -> list[Entry]:
        """All of it."""
        return [self.customer, self.provider] if self.provider else [self.customer]


def usage_key(request_id: UUID) -> str:
    """The customer book's source key: a request is charged once, whatever is delivered how often."""
    return f"{text_of(request_id)}/usage"


def cost_key(request_id: UUID, attempt: int) -> str:
    """The provider book's source key: each attempt costs us."""
    return f"{text_of(request_id)}/{attempt}/cost"


def price_for(event: GenerationCompleted | AttemptCosted, prices: Mapping[int, Price]) -> Price:
    """The price that a message names. Raises PriceUnknown while it has not arrived, Unpriced where it never can."""
    if event.price_version != NO_PRICE:
        try:
            return prices[event.price_version]
        except KeyError:
            raise PriceUnknown(f"price version {event.price_version} of {event.model} has not arrived yet") from None
    if event.tokens.prompt or event.tokens.completion:
        raise Unpriced(f"request {event.request_id} has tokens and no price version")
    return FREE


def charge_for(event: GenerationCompleted, price: Price) -> Charge:
    """One customer entry for every ended request (of zero where nothing was used), one provider entry."""
    amount = charge_nano(event.tokens, price)
    customer = Entry(
        book=Book.CUSTOMER,
        source_key=usage_key(event.request_id),
        kind="usage",
        request_id=event.request_id,
        attempt=event.attempt,
        tenant=event.tenant,
        key_id=event.key_id,
        model=event.model,
        tokens=event.tokens,
        outcome=event.outcome.value,
        currency=price.currency,
        price_version=event.price_version,
        occurred_at=event.completed_at,
        postings={customer_account(event.tenant): amount, REVENUE: -amount},
    )
    provider = cost_for(event, price) if event.provider else None
    return Charge(customer, provider, _fact(event, price, amount))


def cost_for(event: GenerationCompleted | AttemptCosted, price: Price) -> Entry:
    """What an attempt costs us."""
    completed = event if isinstance(event, GenerationCompleted) else None
    amount = cost_nano(event.tokens, price)
    return Entry(
        book=Book.PROVIDER,
        source_key=cost_key(event.request_id, event.attempt),
        kind="cost",
        request_id=event.request_id,
        attempt=event.attempt,
        tenant=event.tenant,
        key_id=completed.key_id if completed else None,
        model=event.model,
        tokens=event.tokens,
        outcome=completed.outcome.value if completed else None,
        currency=price.currency,
        price_version=event.price_version,
        occurred_at=event.completed_at,
        postings={COST: amount, provider_account(event.provider or UNKNOWN): -amount},
    )


def correction(entry: Entry, known: Known) -> Entry | None:
    """What turns the estimate that stands for an attempt into its cost; None where what stands is no estimate."""
    if known.measure != Measure.ESTIMATED or entry.tokens.measure is Measure.ESTIMATED:
        return None
    accounts = entry.postings.keys() | known.postings.keys()
    moved = {a: entry.postings.get(a, 0) - known.postings.get(a, 0) for a in sorted(accounts)}
    return msgspec.structs.replace(
        entry,
        source_key=f"{entry.source_key}/corrected",
        postings={a: amount for a, amount in moved.items() if amount or a in entry.postings},
        corrects=known.id,
    )


def _fact(event: GenerationCompleted, price: Price, amount: int) -> UsageRecorded:
    return UsageRecorded(
        request_id=event.request_id,
        tenant=event.tenant,
        key_id=event.key_id,
        model=event.model,
        tokens=event.tokens,
        charge_nano=amount,
        currency=price.currency,
        price_version=event.price_version,
        occurred_at=event.completed_at,
    )
