"""The catalogue, as routes use it."""

from collections.abc import Sequence
from typing import Protocol

from penstock_common.contracts.catalogue import CatalogueModel, RegisterModel, RemoveModel


class Models(Protocol):
    """The models of the platform, in memory, at one version."""

    @property
    def version(self) -> int:
        """The catalogue's version; 0 before the first one arrived."""

    @property
    def models(self) -> Sequence[CatalogueModel]:
        """Every model, by name."""

    def resolve(self, name: str) -> CatalogueModel | None:
        """The model of this name or alias."""


class ModelOrders(Protocol):
    """Asks inference, the owner of the catalogue, to change it."""

    async def order(self, command: RegisterModel | RemoveModel) -> None:
        """Keep the command, to be sent whatever happens now. Raises DatabaseUnavailable."""
