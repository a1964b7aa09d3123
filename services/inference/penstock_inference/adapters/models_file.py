"""`models.yaml`: the models that an operator wants served from the start."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

from penstock_common.contracts.catalogue import NANO, RegisterModel
from penstock_common.errors import Fault, PenstockError

TOKENS_PRICED = 1_000_000


class ModelsFileInvalid(PenstockError):
    """The file of models can't be used."""

    code = "inference.models_file_invalid"
    fault = Fault.INVALID


class FilePrice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Currency units for a million tokens, as providers print them."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached_input: Decimal | None = None
    provider_input: Decimal = Decimal(0)
    provider_output: Decimal = Decimal(0)
    currency: str = "USD"


class FileModel(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One entry of the file."""

    name: str
    engine: str = "openai-compatible"
    enabled: bool = True
    url: str = ""
    upstream_model: str = ""
    secret: str = ""
    aliases: list[str] = []
    context_tokens: int = 0
    capabilities: list[str] = msgspec.field(default_factory=lambda: ["chat", "stream"])
    take_over: str = ""
    price: FilePrice = msgspec.field(default_factory=FilePrice)

    def command(self) -> RegisterModel:
        """The entry as a registration. Raises ValueError for a price finer than a nano unit a token."""
        price = self.price
        return RegisterModel(
            name=self.name,
            engine=self.engine,
            url=self.url,
            upstream_model=self.upstream_model,
            secret=self.secret,
            aliases=self.aliases,
            context_tokens=self.context_tokens,
            capabilities=self.capabilities,
            currency=price.currency,
            input_nano=nano(price.input),
            output_nano=nano(price.output),
            cached_input_nano=None if price.cached_input is None else nano(price.cached_input),
            provider_input_nano=nano(price.provider_input),
            provider_output_nano=nano(price.provider_output),
            take_over=self.take_over,
        )


class ModelsFile(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    models: list[FileModel] = []


class Listed(NamedTuple):
    """What a file says."""

    models: Sequence[RegisterModel] = ()
    disabled: frozenset[str] = frozenset()
    """Names that it switches off."""


def read_models_file(path: Path) -> Listed:
    """The entries of a file. Raises ModelsFileInvalid, naming the file and the place in it."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = msgspec.convert(found or {}, ModelsFile, strict=False).models
        models = [entry.command() for entry in entries if entry.enabled]
    except (OSError, ValueError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ModelsFileInvalid(f"{path}: {error}") from error
    return Listed(models, frozenset(entry.name for entry in entries if not entry.enabled))


def nano(per_million: Decimal) -> int:
    """Nano units a token from currency units a million tokens. Raises ValueError where that is no integer."""
    exact = per_million * NANO / TOKENS_PRICED
    if not exact.is_finite() or exact != exact.to_integral_value():
        raise ValueError(f"the price {per_million} for a million tokens is no multiple of 0.001")
    return int(exact)
