"""What can be wrong with knowledge bases and their documents."""

from penstock_common.contracts.catalogue import CatalogueModel
from penstock_common.errors import Fault, PenstockError

EMBEDDINGS = "embeddings"
"""The capability of a model that turns texts into vectors."""
DEFAULT_MODEL = "local/all-minilm-l6-v2"


class BaseNotFound(PenstockError):
    """This project has no such knowledge base; GET /api/v1/knowledge-bases lists them."""

    code = "api.knowledge_base_not_found"
    fault = Fault.MISSING


class DocumentNotFound(PenstockError):
    """This knowledge base has no such document."""

    code = "api.document_not_found"
    fault = Fault.MISSING


class DocumentNotFailed(PenstockError):
    """Only a document that failed can be tried again."""

    code = "api.document_not_failed"
    fault = Fault.CONFLICT


class NotAnEmbedder(PenstockError):
    """The model does not make vectors of texts; choose one with the capability `embeddings`."""

    code = "api.model_no_embedder"
    fault = Fault.INVALID


class SearchFailed(PenstockError):
    """The search could not be carried out; try again shortly."""

    code = "api.search_failed"
    fault = Fault.UNAVAILABLE


def check_embedder(model: CatalogueModel) -> None:
    """Raises NotAnEmbedder."""
    if EMBEDDINGS not in model.capabilities:
        raise NotAnEmbedder(f"The model {model.name!r} makes no vectors; choose one with the capability `embeddings`.")
