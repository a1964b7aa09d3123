"""Amounts for people."""

from decimal import Decimal

from penstock_common.contracts.catalogue import NANO


def readable(amount_nano: int, currency: str = "") -> str:
    """An amount in units of its currency, exact and without trailing zeros: `19.5 USD`."""
    units = Decimal(amount_nano) / NANO
    return f"{units.normalize():f} {currency}".strip()
