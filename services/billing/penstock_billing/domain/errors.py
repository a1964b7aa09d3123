"""What billing refuses, or can't do yet."""

from penstock_common.errors import Fault, PenstockError


class PriceUnknown(PenstockError):
    """A completion names a price version that has not arrived yet."""

    code = "billing.price_unknown"
    fault = Fault.UNAVAILABLE


class Unpriced(PenstockError):
    """A completion has tokens and names no price version, so that nobody can say what they cost."""

    code = "billing.unpriced"
    fault = Fault.INVALID


class TokensImpossible(PenstockError):
    """Token counts are negative, or more prompt tokens were cached than there were."""

    code = "billing.tokens_impossible"
    fault = Fault.INVALID


class EntryDiffers(PenstockError):
    """The request is already in the book, with other numbers."""

    code = "billing.entry_differs"
    fault = Fault.CONFLICT


class PriceDiffers(PenstockError):
    """The price version is already known, with other numbers."""

    code = "billing.price_differs"
    fault = Fault.CONFLICT


class CurrenciesMixed(PenstockError):
    """The usage was charged in several currencies: it has no single sum."""

    code = "billing.currencies_mixed"
    fault = Fault.CONFLICT
