"""Prices, as people write them."""

from decimal import Decimal, InvalidOperation

from penstock_common.contracts.catalogue import NANO


def nano_of(price: str) -> int:
    """A price in units of its currency as units of 10^-9, exactly. Raises ValueError for what has no such number."""
    try:
        nano = Decimal(price) * NANO
    except InvalidOperation as error:
        raise ValueError(f"{price!r} is not a number, such as 0.000002") from error
    if not nano.is_finite() or nano < 0:
        raise ValueError(f"{price} is not a price: it must be 0 or more")
    if nano != nano.to_integral_value():
        raise ValueError(f"{price} has more than 9 decimals; the smallest price is 0.000000001")
    return int(nano)
