"""Charges: integers, sums of zero, one entry a book."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_billing.domain.charge import charge_for, correction, cost_for, price_for
from penstock_billing.domain.entries import Book, Known
from penstock_billing.domain.errors import PriceUnknown, TokensImpossible, Unpriced
from penstock_billing.domain.money import charge_nano, cost_nano
from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import Measure, Outcome, Tokens
from penstock_common.ids import uuid7
from tests.support.billing import PRICE, TENANT, a_completion, a_cost

COUNTS = st.integers(0, 10**7)
NANOS = st.integers(0, 10**9)
TOKENS = st.builds(lambda p, c, share: Tokens(p, c, p * share // 100), COUNTS, COUNTS, st.integers(0, 100))
PRICES = st.builds(Price, st.integers(1, 99), st.just("USD"), NANOS, NANOS, NANOS, NANOS, NANOS)


@pytest.mark.parametrize(
    ("tokens", "charge", "cost"),
    [
        (Tokens(), 0, 0),
        (Tokens(prompt=1), 100_000, 30_000),
        (Tokens(completion=1), 200_000, 60_000),
        (Tokens(prompt=1, cached=1), 50_000, 30_000),
        (Tokens(40, 2, cached=10), 3_900_000, 1_320_000),
        (Tokens(40, 2, reasoning=2), 4_400_000, 1_320_000),
        (Tokens(10**7, 10**7), 3 * 10**12, 9 * 10**11),
    ],
)
def test_tokens_times_price(tokens: Tokens, charge: int, cost: int) -> None:
    """Cached tokens are part of the prompt, reasoning tokens of the completion."""
    assert charge_nano(tokens, PRICE) == charge
    assert cost_nano(tokens, PRICE) == cost


@pytest.mark.parametrize("tokens", [Tokens(-1), Tokens(0, -1), Tokens(1, 0, -1), Tokens(1, 0, 2)])
def test_impossible_counts_are_refused(tokens: Tokens) -> None:
    """Nobody is paid for being charged."""
    with pytest.raises(TokensImpossible):
        charge_nano(tokens, PRICE)
    with pytest.raises(TokensImpossible):
        cost_nano(tokens, PRICE)


@given(TOKENS, PRICES)
def test_every_entry_sums_to_zero(tokens: Tokens, price: Price) -> None:
    """Whatever the numbers; and the fact says what the customer's entry says."""
    event = a_completion(tokens=tokens, price_version=price.version)
    charge = charge_for(event, price)
    assert [sum(entry.postings.values()) for entry in charge.entries] == [0, 0]
    assert charge.fact.charge_nano == charge.customer.postings[f"customer:{TENANT}"]
    assert charge.fact.charge_nano == charge_nano(tokens, price)


def test_both_entries_say_the_same_of_the_request() -> None:
    """They travel as one row: only key, kind, book and postings are their own, and the postings are two each."""
    event = a_completion(attempt=2, tokens=Tokens(40, 2, 10, measure=Measure.ESTIMATED), outcome=Outcome.PARTIAL)
    customer, provider = charge_for(event, PRICE).entries
    own = {"book", "source_key", "kind", "postings"}
    shared = [name for name in customer.__struct_fields__ if name not in own]
    assert [getattr(customer, name) for name in shared] == [getattr(provider, name) for name in shared]
    assert [len(entry.postings) for entry in (customer, provider)] == [2, 2]


@given(TOKENS, PRICES)
def test_more_tokens_never_cost_less(tokens: Tokens, price: Price) -> None:
    """One more of either kind."""
    more = Tokens(tokens.prompt + 1, tokens.completion + 1, tokens.cached)
    assert charge_nano(more, price) >= charge_nano(tokens, price)


def test_source_keys_name_request_and_attempt() -> None:
    """The customer's is one a request, the provider's one an attempt."""
    event = a_completion(attempt=3)
    keys = [(entry.book, entry.source_key) for entry in charge_for(event, PRICE).entries]
    assert keys == [
        (Book.CUSTOMER, f"{event.request_id}/usage"),
        (Book.PROVIDER, f"{event.request_id}/3/cost"),
    ]


def test_no_provider_no_cost() -> None:
    """A request that ended before it had an engine."""
    event = a_completion(0, 0, provider="", outcome=Outcome.FAILED)
    assert charge_for(event, PRICE).provider is None


def test_prices_by_version() -> None:
    """Known, not yet known, none needed, and none where one is needed."""
    assert price_for(a_completion(), {7: PRICE}) is PRICE
    with pytest.raises(PriceUnknown):
        price_for(a_completion(), {})
    assert price_for(a_completion(0, 0, price_version=0), {}).currency == "USD"
    with pytest.raises(Unpriced):
        price_for(a_cost(price_version=0), {7: PRICE})


def test_a_cost_corrects_an_estimate_to_its_own_amount() -> None:
    """Both together are the cost, account by account."""
    entry = cost_for(a_cost(tokens=Tokens(10, 1)), PRICE)
    estimate = Known(uuid7(), "estimated", {"cost:inference": 50, "provider:unknown": -50})
    corrected = correction(entry, estimate)
    assert corrected is not None
    assert corrected.corrects == estimate.id
    assert corrected.postings == {
        "cost:inference": 360_000 - 50,
        "provider:simulated": -360_000,
        "provider:unknown": 50,
    }


@pytest.mark.parametrize(("stands", "comes"), [("measured", "measured"), ("partial", "measured"), ("estimated",) * 2])
def test_only_estimates_are_corrected(stands: str, comes: str) -> None:
    """And never by another estimate."""
    entry = cost_for(a_cost(tokens=Tokens(10, 1, measure=Measure(comes))), PRICE)
    assert correction(entry, Known(uuid7(), stands, {})) is None
