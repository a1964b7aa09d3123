"""What indexing needs of the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.documents import AddDocument, RemoveBase, RemoveDocument, RetryDocument, SaveBase
from penstock_common.db.transaction import Transaction
from penstock_indexer.parsing.wire import Chunk, Parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A document that this process works on for as long as nobody claims it after it."""

    id: UUID
    base_id: UUID
    tenant: UUID
    key_id: UUID
    epoch: int
    attempts: int
    """Claims since the last progress, this one included."""
    version: int
    object_key: str
    media_type: str
    is_parsed: bool
    """Whether its chunks are stored."""
    chunks: int
    pages: int
    model: str
    chunk_characters: int
    overlap_characters: int
    traceparent: str = ""
    """The span that led to it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks without a vector, in order."""

    numbers: Sequence[int]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ask:
    """The request under which a batch is asked for; kept before it is asked."""

    first: int
    """Number of the batch's first chunk."""
    request_id: UUID
    was_asked: bool
    """Whether a process may have asked it before."""
    is_doubtful: bool
    """Whether it ran out of time once: its end may have been recorded meanwhile."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Unit vectors as little-endian 32-bit floats, one a text."""

    rows: Sequence[bytes]

    @property
    def dimension(self) -> int:
        """Numbers in each."""
        return len(self.rows[0]) // 4


class Superseded(Exception):
    """Another process took the document over, or it was removed: nothing of it may be written any more."""

    is_no_error = True


class Documents(Protocol):
    """The rows of documents at work. Methods given a claim raise Superseded; all raise DatabaseUnavailable."""

    async def claim(self, lease_seconds: float) -> Claimed | None:
        """The next document, tenants taking turns; None where nothing waits."""

    async def renew(self, claimed: Claimed, lease_seconds: float) -> None:
        """Stay its worker for so many seconds more."""

    async def store(self, claimed: Claimed, chunks: Sequence[Chunk], pages: int) -> None:
        """Keep the chunks; what is left to do is embedding."""

    async def batch(self, claimed: Claimed, size: int) -> Batch:
        """The next chunks without a vector, at most so many."""

    async def ask(self, claimed: Claimed, batch: Batch) -> Ask:
        """Keep the request of a batch before it is asked: the one kept already, while its texts are the same."""

    async def drop_ask(self, claimed: Claimed, ask: Ask, *, doubtful: bool = False) -> None:
        """Ask under another id next time; or, in doubt, once more under this one."""

    async def store_vectors(self, claimed: Claimed, batch: Batch, vectors: Vectors) -> None:
        """Keep a batch's vectors."""

    async def finish(self, claimed: Claimed) -> None:
        """The document can be found from now on. Raises VectorsDiffer."""

    async def release(self, claimed: Claimed, delay: float, *, is_fault: bool, code: str = "", error: str = "") -> None:
        """Let anyone take it up after so many seconds; a fault counts as an attempt."""

    async def fail(self, claimed: Claimed, code: str, error: str) -> None:
        """Give it up, with a public code and a sentence."""


class Parser(Protocol):
    """Reads documents."""

    async def parse(self, content: bytes, media_type: str, chunk_characters: int, overlap: int) -> Parsed:
        """The chunks in order. Raises a DocumentRefused, ParserDied."""


class Contents(Protocol):
    """Uploaded documents."""

    async def read(self, claimed: Claimed) -> bytes:
        """The content as it was uploaded. Raises ContentMissing, SubjectErased, ObjectsUnavailable."""


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def embed(self, claimed: Claimed, ask: Ask, texts: Sequence[str]) -> Vectors:
        """One vector a text. Raises AskFailed, BusUnavailable, VectorsDiffer for what is no list of vectors."""


class Orders(Protocol):
    """What commands change, each within the transaction of its handler."""

    async def save_base(self, connection: AsyncConnection, command: SaveBase) -> None:
        """Keep a knowledge base; one that is there, or was removed, stays as it is."""

    async def remove_base(self, connection: AsyncConnection, command: RemoveBase) -> None:
        """Show it no more; its documents go soon. One that is still to come will not be made."""

    async def add_document(self, connection: AsyncConnection, command: AddDocument) -> None:
        """Keep a document to be indexed. Raises BaseUnknown where its base is still to come."""

    async def remove_document(self, tx: Transaction[Any], command: RemoveDocument) -> None:
        """Delete it with its chunks and vectors; its content goes soon. One that is still to come will not be kept."""

    async def retry_document(self, tx: Transaction[Any], command: RetryDocument) -> None:
        """Queue a failed document again; any other stays as it is."""
