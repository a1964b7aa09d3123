"""Knowledge bases, documents and chunks as JSON."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from penstock_api.domain.bases import DEFAULT_MODEL
from penstock_common.contracts.documents import BaseShown, ChunkFound, DocumentShown, DocumentState, SearchMode

SMALLEST, LARGEST = 200, 4000  # characters of a chunk
MOST_CHUNKS = 50
MOST_DOCUMENTS = 100
LONGEST_QUERY = 8000  # characters


class BaseWanted(BaseModel):
    """A knowledge base to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "handbook"}})

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", description="For people.")
    model: str = Field(DEFAULT_MODEL, max_length=128, description="The embedding model of all of its documents.")
    chunk_characters: int = Field(1000, ge=SMALLEST, le=LARGEST, description="The longest chunk.")
    overlap_characters: int = Field(200, ge=0, description="Of a chunk that the next one repeats; at most half.")


class BaseView(BaseModel):
    """A knowledge base."""

    id: UUID
    name: str
    model: str
    created_at: datetime
    chunk_characters: int
    overlap_characters: int
    documents: int = Field(description="All of them, whatever their state.")
    chunks: int = Field(description="Those that a search can find.")

    @classmethod
    def of(cls, shown: BaseShown) -> "BaseView":
        """As indexer shows it."""
        names = set(cls.model_fields) - {"id"}
        return cls(id=shown.base_id, **{name: getattr(shown, name) for name in names})


class BasePage(BaseModel):
    """Knowledge bases, the oldest first."""

    knowledge_bases: list[BaseView]


class DocumentView(BaseModel):
    """A document, and how far it is on its way into the index."""

    id: UUID
    knowledge_base_id: UUID
    name: str
    media_type: str
    size: int = Field(description="Bytes of the content.")
    state: DocumentState
    version: int = Field(description="Grows with each change of state.")
    created_at: datetime
    changed_at: datetime
    chunks: int
    pages: int = Field(description="Of a PDF; else 0.")
    attempts: int
    error_code: str = Field(description="Names for programs why it failed, or why it waits.")
    error: str

    @classmethod
    def of(cls, shown: DocumentShown) -> "DocumentView":
        """As indexer shows it."""
        names = set(cls.model_fields) - {"id", "knowledge_base_id"}
        given = {name: getattr(shown, name) for name in names}
        return cls(id=shown.document_id, knowledge_base_id=shown.base_id, **given)


class DocumentPage(BaseModel):
    """Documents, the oldest first."""

    documents: list[DocumentView]


class SearchWanted(BaseModel):
    """What to search for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"query": "How many days of leave?"}})

    query: str = Field(min_length=1, max_length=LONGEST_QUERY)
    limit: int = Field(8, ge=1, le=MOST_CHUNKS)
    mode: SearchMode = Field(SearchMode.HYBRID, description="By meaning, by words, or both.")
    document_ids: Annotated[list[UUID], Field(max_length=MOST_DOCUMENTS)] = []


class ChunkView(BaseModel):
    """A piece of a document."""

    document_id: UUID
    name: str = Field(description="The document's.")
    text: str
    score: float = Field(description="Comparable within one answer only.")
    start: int = Field(description="Characters before it in the document's text.")
    end: int
    page: int = Field(description="Of a PDF, from 1; else 0.")

    @classmethod
    def of(cls, found: ChunkFound) -> "ChunkView":
        """As indexer found it."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class ChunkPage(BaseModel):
    """Chunks, the best first."""

    chunks: list[ChunkView]
