"""Prices and spans of time, as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.expiry import expiry_of
from penstock.money import readable
from penstock.prices import nano_of

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0", 0), ("0.000000001", 1), ("0.0001", 100_000), ("1e-6", 1000), ("2.5", 2_500_000_000), (" 1 ", 1_000_000_000)],
)
def test_a_price_is_exact(text: str, nano: int) -> None:
    """No float comes near it."""
    assert nano_of(text) == nano


@given(st.integers(min_value=0, max_value=10**18))
def test_what_is_shown_can_be_given(nano: int) -> None:
    """The way an amount is printed is a way to write it."""
    assert nano_of(readable(nano)) == nano


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.0000000001", "9 decimals"),
        ("-1", "0 or more"),
        ("nan", "0 or more"),
        ("inf", "0 or more"),
        ("free", "not a number"),
        ("1,5", "not a number"),
        ("", "not a number"),
    ],
)
def test_what_is_no_price(text: str, words: str) -> None:
    """Nothing is rounded."""
    with pytest.raises(ValueError, match=words):
        nano_of(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30d", NOW + timedelta(days=30)),
        ("12h", NOW + timedelta(hours=12)),
        ("90m", NOW + timedelta(minutes=90)),
        ("45s", NOW + timedelta(seconds=45)),
        ("2w", NOW + timedelta(days=14)),
        ("2030-02-01", datetime(2030, 2, 1, tzinfo=UTC)),
        ("2030-02-01T12:00+02:00", datetime(2030, 2, 1, 10, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_span_or_a_date(text: str, end: datetime) -> None:
    """Dates without a zone are UTC."""
    assert expiry_of(text, NOW) == end


@pytest.mark.parametrize(
    ("text", "words"),
    [("soon", "30d"), ("30", "30d"), ("-1d", "30d"), ("", "30d"), ("2029-12-31", "past"), ("999999w", "far away")],
)
def test_what_is_no_expiry(text: str, words: str) -> None:
    """The error shows how to write it."""
    with pytest.raises(ValueError, match=words):
        expiry_of(text, NOW)
