"""Whether a model does what it is asked for."""

from penstock_api.domain.errors import ModelNotFound, ModelUnsuited
from penstock_api.domain.keys import Key, Scope
from penstock_common.contracts.base import Decision
from penstock_common.contracts.catalogue import CatalogueModel

KINDS = frozenset({"chat", "embeddings"})
"""Capabilities that say which routes a model serves; of a model without any, its engine decides."""


def suited(model: CatalogueModel | None, name: str, capability: str) -> CatalogueModel:
    """The model of the catalogue that a request calls by `name`. Raises ModelNotFound, ModelUnsuited."""
    if model is None:
        raise ModelNotFound(f"The model `{name}` does not exist; GET /v1/models lists those that do.", param="model")
    if KINDS.intersection(model.capabilities) and capability not in model.capabilities:
        able = ", ".join(sorted(KINDS.intersection(model.capabilities)))
        raise ModelUnsuited(f"The model `{name}` serves {able}, not {capability}; name another one.", param="model")
    return model


def decided(key: Key, asked: str, model: CatalogueModel, version: int) -> list[Decision]:
    """What was decided of a request before it is accepted: whose it is, what it is entitled to, which model."""
    reason = "name" if asked == model.name else "alias"
    return [
        Decision("authenticate", "accepted", f"key {key.prefix}"),
        Decision("entitle", key.tier, f"scope {Scope.CHAT}"),
        Decision("resolve_model", model.name, reason, version),
    ]
