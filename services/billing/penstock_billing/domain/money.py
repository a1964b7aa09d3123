"""What tokens cost: integers of 10^-9 of a currency, never floats."""

from penstock_billing.domain.errors import TokensImpossible
from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.generation import Tokens


def charge_nano(tokens: Tokens, price: Price) -> int:
    """What the customer pays, in nano units. Raises TokensImpossible."""
    _check(tokens)
    return (
        (tokens.prompt - tokens.cached) * price.input_nano
        + tokens.cached * price.cached_input_nano
        + tokens.completion * price.output_nano
    )


def cost_nano(tokens: Tokens, price: Price) -> int:
    """What the provider charges us, in nano units. Raises TokensImpossible."""
    _check(tokens)
    return tokens.prompt * price.provider_input_nano + tokens.completion * price.provider_output_nano


def _check(tokens: Tokens) -> None:
    if min(tokens.prompt, tokens.completion, tokens.cached) < 0 or tokens.cached > tokens.prompt:
        raise TokensImpossible(f"prompt {tokens.prompt}, completion {tokens.completion}, cached {tokens.cached}")
