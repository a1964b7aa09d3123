"""What the handlers share."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock_common.db.transaction import Database
from penstock_common.messaging.router import Router
from penstock_inference.admission.admission import Admission
from penstock_inference.generating.generator import Generator
from penstock_inference.generating.ports import Stops
from penstock_inference.ports import CatalogueChanges
from penstock_inference.queueing.ports import Intake

router = Router("inference")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the handlers need."""

    database: Database
    generator: Generator
    interactive: Admission
    embeddings: Admission
    stops: Stops
    catalogue: CatalogueChanges
    queue: Intake
    wake_queue: Callable[[], None]
    """Have this process look whose turn it is."""
