"""Amounts for people."""

from penstock_common.contracts.catalogue import NANO

DIGITS = 9


def readable(amount_nano: int, currency: str = "") -> str:
    """An amount in units of its currency, exact and without trailing zeros: `19.5 USD`."""
    units, rest = divmod(abs(amount_nano), NANO)
    number = f"{units}.{rest:0{DIGITS}d}".rstrip("0").rstrip(".")
    return f"{'-' if amount_nano < 0 else ''}{number} {currency}".strip()
