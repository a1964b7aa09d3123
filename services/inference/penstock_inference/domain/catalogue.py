"""The model catalogue as inference keeps it."""

import msgspec

from penstock_common.contracts.catalogue import CatalogueModel, Price

SIM = "sim"
COMPATIBLE = "openai-compatible"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model: what it is called, where it runs, what it costs."""

    name: str
    engine: str
    """`sim` or `openai-compatible`."""
    price: Price
    dialect: str = ""
    """Which flavour of the OpenAI API its engine speaks; a name of `domain.dialects`."""
    url: str = ""
    """The engine's base URL, up to and with `/v1`."""
    upstream_model: str = ""
    """What the engine calls it."""
    secret: str = ""
    """The name under which the engine's key is kept."""
    aliases: tuple[str, ...] = ()
    context_tokens: int = 0
    """Prompt and answer together; 0 where unknown."""
    capabilities: tuple[str, ...] = ()
    created: int = 0
    """Unix seconds of its first registration."""
    enabled: bool = True

    @property
    def simulated(self) -> bool:
        """Whether its answers are made up."""
        return self.engine == SIM

    @property
    def provider(self) -> str:
        """Whom its tokens are bought from."""
        return self.dialect or self.engine

    def published(self) -> CatalogueModel:
        """The model as other services may know it."""
        return CatalogueModel(
            name=self.name,
            engine=self.engine,
            provider=self.provider,
            price=self.price,
            aliases=list(self.aliases),
            context_tokens=self.context_tokens,
            capabilities=list(self.capabilities),
            simulated=self.simulated,
            created=self.created,
        )
