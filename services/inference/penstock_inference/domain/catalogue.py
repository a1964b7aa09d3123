"""The model catalogue: what may be asked for, where it runs, what it costs. Each change makes a new snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

import msgspec

from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price, RegisterModel
from penstock_inference.domain.checks import checked, checked_take_over, checked_url, refuse
from penstock_inference.domain.continuing import TakeOver
from penstock_inference.domain.dialects import dialect_of, usual_take_over

SIM = "sim"
LOCAL = "local"
COMPATIBLE = "openai-compatible"


class Origin(StrEnum):
    """Who registered a model."""

    BUILTIN = "builtin"
    FILE = "file"
    ENVIRONMENT = "environment"
    LOCAL = "local"
    """Of an engine that was found by looking."""
    OPERATOR = "operator"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model: what it is called, where it runs, what it costs."""

    name: str
    engine: str
    """`sim`, `local` or `openai-compatible`."""
    price: Price
    dialect: str = ""
    """Which flavour of the OpenAI API its engine speaks: a name of `domain.dialects`; empty for the built-in ones."""
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
    """A removed model keeps its row, and with it the version of its last price."""
    origin: Origin = Origin.OPERATOR
    take_over: str = ""
    """A `TakeOver`; empty where nobody said."""

    @property
    def policy(self) -> TakeOver:
        """How its answers go on after a take-over."""
        return TakeOver(self.take_over) if self.take_over else usual_take_over(self.dialect, self.url)

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
            take_over=self.policy,
        )


@dataclass(frozen=True)
class Snapshot:
    """All models at one version, the removed ones among them."""

    version: int = 0
    models: Mapping[str, Model] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[str, Model]:
        """Models in service by name and by alias."""
        served = [model for model in self.models.values() if model.enabled]
        return {alias: m for m in served for alias in m.aliases} | {m.name: m for m in served}

    def resolve(self, name: str) -> Model | None:
        """The model in service under a name or alias."""
        return self.names.get(name)

    def changed(self, model: Model) -> "Snapshot":
        """With this model; the same catalogue where it is in it already."""
        if self.models.get(model.name) == model:
            return self
        return replace(self, models={**self.models, model.name: model})

    def published(self) -> CatalogueChanged:
        """What other services are told."""
        served = sorted((m for m in self.models.values() if m.enabled), key=lambda m: m.name)
        return CatalogueChanged(version=self.version, models=[m.published() for m in served])


def registered(catalogue: Snapshot, command: RegisterModel, origin: Origin, now: int) -> Snapshot:
    """With this model, new or replaced; `now` in Unix seconds. Raises ModelRefused for what can't be served."""
    checked(command)
    known = catalogue.models.get(command.name)
    for name in (command.name, *command.aliases):
        holder = catalogue.resolve(name)
        if holder and holder.name != command.name:
            refuse(f"the name {name} belongs to the model {holder.name}")
    builtin = command.engine in (SIM, LOCAL)
    url = "" if builtin else checked_url(command.url)
    dialect = "" if builtin else dialect_of(command.engine, url)
    checked_take_over(command.take_over, dialect, url)
    model = Model(
        name=command.name,
        engine=command.engine if builtin else COMPATIBLE,
        dialect=dialect,
        url=url,
        upstream_model=command.upstream_model or (command.name.rpartition("/")[2] if builtin else command.name),
        secret=command.secret,
        aliases=tuple(command.aliases),
        context_tokens=command.context_tokens,
        capabilities=tuple(command.capabilities),
        created=known.created if known else now,
        origin=origin,
        take_over=command.take_over,
        price=price_of(catalogue, command),
    )
    return catalogue.changed(model)


def removed(catalogue: Snapshot, name: str, origin: Origin = Origin.OPERATOR) -> Snapshot:
    """Without this model; the same catalogue where it is not served."""
    known = catalogue.models.get(name)
    if known is None or not known.enabled:
        return catalogue
    return catalogue.changed(msgspec.structs.replace(known, enabled=False, origin=origin))


def price_of(catalogue: Snapshot, command: RegisterModel) -> Price:
    """The model's price: the one it has where the numbers are the same, else a version that no price ever had."""
    cached = command.input_nano // 2 if command.cached_input_nano is None else command.cached_input_nano
    known = catalogue.models.get(command.name)
    price = Price(
        version=known.price.version if known else 0,
        currency=command.currency,
        input_nano=command.input_nano,
        output_nano=command.output_nano,
        cached_input_nano=cached,
        provider_input_nano=command.provider_input_nano,
        provider_output_nano=command.provider_output_nano,
    )
    if known and known.price == price:
        return price
    newest = max((model.price.version for model in catalogue.models.values()), default=0)
    return msgspec.structs.replace(price, version=newest + 1)
