"""The model catalogue: what may be asked for, where it runs, what it costs."""

import msgspec

from penstock_common.contracts.base import Contract

NANO = 1_000_000_000  # money is counted in integer units of 10^-9 of a currency


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nano units of `currency` per token. A version is never reused for other numbers."""

    version: int
    currency: str
    input_nano: int
    output_nano: int
    cached_input_nano: int
    """Price of a prompt token that the engine had cached."""
    provider_input_nano: int = 0
    provider_output_nano: int = 0
    """What the provider charges us per token."""


class CatalogueModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model as other services may know it: no address, no secret."""

    name: str
    engine: str
    provider: str
    price: Price
    aliases: list[str] = []
    context_tokens: int = 0
    capabilities: list[str] = []
    simulated: bool = False
    created: int = 0
    """Unix seconds at which the model was first registered."""
    take_over: str = ""
    """How an answer goes on after its process died: `prefix`, `verify` or `fail`; empty where nobody said."""


class RegisterModel(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Add or replace a model of the catalogue. `secret` names where the engine's key is found, never the key."""

    name: str
    engine: str
    url: str = ""
    upstream_model: str = ""
    secret: str = ""
    aliases: list[str] = []
    context_tokens: int = 0
    capabilities: list[str] = []
    currency: str = "USD"
    input_nano: int = 0
    output_nano: int = 0
    cached_input_nano: int | None = None
    provider_input_nano: int = 0
    provider_output_nano: int = 0
    take_over: str = ""
    """`prefix`, `verify` or `fail`; empty for what suits the engine."""


class RemoveModel(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Take a model out of the catalogue; its prices and history stay."""

    name: str


class CatalogueChanged(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The whole catalogue at a version; a projection ignores an older one."""

    version: int
    models: list[CatalogueModel]
