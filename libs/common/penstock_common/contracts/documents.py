"""Commands, events and queries about knowledge bases, their documents and chunks."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract

DOCUMENTS_FOLDER = "documents"


def object_key(tenant: UUID, document_id: UUID) -> str:
    """Where a document's content rests in object storage."""
    return f"{DOCUMENTS_FOLDER}/{tenant}/{document_id}"


def name_context(document_id: UUID) -> str:
    """The context under which a document's name is sealed by its tenant's key."""
    return f"document:{document_id}:name"


def content_context(document_id: UUID) -> str:
    """The context under which a document's content is sealed in object storage."""
    return f"document:{document_id}:content"


class DocumentState(StrEnum):
    """Where a document is on its way into the index."""

    QUEUED = "queued"
    PARSING = "parsing"
    EMBEDDING = "embedding"
    INDEXED = "indexed"
    FAILED = "failed"


class SaveBase(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Make a knowledge base; the same id again is the same one."""

    base_id: UUID
    tenant: UUID
    key_id: UUID
    name: str
    model: str
    """The embedding model of all of its chunks."""
    chunk_characters: int = 1000
    overlap_characters: int = 200


class RemoveBase(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Remove a knowledge base with everything in it."""

    base_id: UUID
    tenant: UUID


class AddDocument(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Index a document whose content rests, sealed, in object storage."""

    document_id: UUID
    base_id: UUID
    tenant: UUID
    key_id: UUID
    object_key: str
    media_type: str
    size: int
    """Bytes of the content."""
    sealed_name: bytes = b""
    """The file's name, sealed by the tenant's key under the document's id."""


class RemoveDocument(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Remove a document, its chunks, vectors and stored content."""

    document_id: UUID
    base_id: UUID
    tenant: UUID


class RetryDocument(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Take a document up again that failed."""

    document_id: UUID
    base_id: UUID
    tenant: UUID


class DocumentChanged(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A document reached a state; a projection ignores an older version."""

    document_id: UUID
    base_id: UUID
    tenant: UUID
    version: int
    state: DocumentState
    chunks: int = 0
    error_code: str = ""
    removed: bool = False


class SearchMode(StrEnum):
    """What a search compares."""

    HYBRID = "hybrid"
    VECTOR = "vector"
    WORDS = "words"


class SearchChunks(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the best chunks of a knowledge base for a text."""

    base_id: UUID
    tenant: UUID
    key_id: UUID
    text: str
    limit: int = 8
    mode: SearchMode = SearchMode.HYBRID
    document_ids: list[UUID] = []
    """Only these documents, where given."""


class ChunkFound(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chunk of a document, and where it stands there."""

    document_id: UUID
    name: str
    """The document's."""
    text: str
    score: float
    start: int
    """Characters before it in the parsed text."""
    end: int
    page: int = 0
    """Of a PDF, counted from 1; else 0."""


class ChunksFound(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """The best first; or why there are none, as a public code and a sentence."""

    chunks: list[ChunkFound] = []
    error_code: str = ""
    error: str = ""


class BaseShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A knowledge base as its owner sees it."""

    base_id: UUID
    name: str
    model: str
    created_at: datetime
    chunk_characters: int
    overlap_characters: int
    documents: int = 0
    chunks: int = 0


class ReadBases(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the knowledge bases of a tenant by age, or the one of an id."""

    tenant: UUID
    base_id: UUID | None = None
    after: UUID | None = None
    limit: int = 100


class BaseList(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Knowledge bases."""

    bases: list[BaseShown] = []


class DocumentShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document as its owner sees it."""

    document_id: UUID
    base_id: UUID
    name: str
    media_type: str
    size: int
    """Bytes of the content."""
    state: DocumentState
    version: int
    created_at: datetime
    changed_at: datetime
    chunks: int = 0
    pages: int = 0
    attempts: int = 0
    error_code: str = ""
    error: str = ""


class ReadDocuments(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: the documents of a knowledge base by age, or the one of an id."""

    tenant: UUID
    base_id: UUID
    document_id: UUID | None = None
    after: UUID | None = None
    limit: int = 100
    state: DocumentState | None = None


class DocumentList(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Documents."""

    documents: list[DocumentShown] = []
