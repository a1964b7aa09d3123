"""Under which contexts the parts of a document are sealed, so that none can be moved to another's place."""

from uuid import UUID


def text_context(document_id: UUID, number: int) -> str:
    """A chunk's text."""
    return f"document:{document_id}:text:{number}"


def vector_context(document_id: UUID, number: int) -> str:
    """A chunk's vector."""
    return f"document:{document_id}:vector:{number}"


def index_context(base_id: UUID) -> str:
    """The vectors of a knowledge base, as a file."""
    return f"base:{base_id}:vectors"
