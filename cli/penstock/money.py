"""Amounts for people."""

from decimal import Decimal, InvalidOperation

from penstock_common.contracts.catalogue import NANO


def readable(amount_nano: int, currency: str = "") -> str:
    """An amount in units of its currency, exact and without trailing zeros: `19.5 USD`."""
    units = Decimal(amount_nano) / NANO
    return f"{units.normalize():f} {currency}".strip()


def nano_of(amount: str) -> int:
    """An amount in units of its currency as units of 10^-9, exactly. Raises ValueError for what has no such number."""
    try:
        nano = Decimal(amount) * NANO
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not a number, such as 0.000002") from error
    if not nano.is_finite() or nano < 0:
        raise ValueError(f"{amount} is not a price: it must be 0 or more")
    if nano != nano.to_integral_value():
        raise ValueError(f"{amount} has more than 9 decimals; the smallest price is 0.000000001")
    return int(nano)
