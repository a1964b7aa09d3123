"""What the handlers share."""

from dataclasses import dataclass

from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router
from penstock_inference.generating.generator import Generator
from penstock_inference.generating.ports import Stops
from penstock_inference.ports import CatalogueChanges

router = Router("inference")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database
    generator: Generator
    stops: Stops
    catalogue: CatalogueChanges
