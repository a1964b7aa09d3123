"""Knowledge bases, as routes use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from penstock_api.domain.keys import Key
from penstock_common.contracts.documents import (
    BaseShown,
    ChunkFound,
    DocumentShown,
    ReadBases,
    ReadDocuments,
    RemoveBase,
    RemoveDocument,
    RetryDocument,
    SaveBase,
    SearchChunks,
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A document as it came."""

    name: str
    media_type: str
    content: bytes


class KnowledgeBases(Protocol):
    """Asks indexer, the owner of bases, documents and chunks. Every method raises BusUnavailable or NoAnswer where it
    asks, DatabaseUnavailable where it orders."""

    async def bases(self, question: ReadBases) -> list[BaseShown]:
        """The bases of a tenant by age, or the one of an id."""

    async def documents(self, question: ReadDocuments) -> list[DocumentShown]:
        """The documents of a base by age, or the one of an id."""

    async def search(self, question: SearchChunks) -> list[ChunkFound]:
        """The best chunks. Raises BaseNotFound, SearchFailed."""

    async def make(self, command: SaveBase) -> BaseShown:
        """Order a base, and wait a moment until it is there."""

    async def order(self, command: RemoveBase | RemoveDocument | RetryDocument) -> None:
        """Keep the command, to be sent whatever happens now."""

    async def add(self, base_id: UUID, by: Key, uploads: Sequence[Upload]) -> list[DocumentShown]:
        """Keep the contents sealed, then order their indexing, all or none. Raises ObjectsUnavailable as well."""
