"""Knowledge bases: orders through the outbox, questions over the bus, contents in object storage."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from penstock_api.adapters.asking import ask_owner
from penstock_api.domain.bases import BaseNotFound, SearchFailed
from penstock_api.domain.keys import Key
from penstock_api.ports.bases import Upload
from penstock_common.contracts.base import Contract
from penstock_common.contracts.documents import (
    AddDocument,
    BaseList,
    BaseShown,
    ChunkFound,
    ChunksFound,
    DocumentList,
    DocumentShown,
    DocumentState,
    ReadBases,
    ReadDocuments,
    RemoveBase,
    RemoveDocument,
    RetryDocument,
    SaveBase,
    SearchChunks,
    content_context,
    name_context,
    object_key,
)
from penstock_common.db.transaction import Database
from penstock_common.errors import PenstockError
from penstock_common.ids import uuid7
from penstock_common.messaging.ports import Bus
from penstock_common.objects import Objects
from penstock_common.sealing import Sealer

READ_SECONDS = 2.0
SEARCH_SECONDS = 20.0
VISIBLE_SECONDS = 2.0  # how long an answer waits for indexer to show what was ordered
POLL_SECONDS = 0.05


class IndexerBases:
    """Implements `KnowledgeBases`."""

    def __init__(self, bus: Bus, database: Database, objects: Objects, sealer: Sealer) -> None:
        self.bus, self.database, self.objects, self.sealer = bus, database, objects, sealer

    async def bases(self, question: ReadBases) -> list[BaseShown]:
        """The bases of a tenant by age, or the one of an id."""
        return (await ask_owner(self.bus, question, BaseList, READ_SECONDS)).bases

    async def documents(self, question: ReadDocuments) -> list[DocumentShown]:
        """The documents of a base by age, or the one of an id."""
        return (await ask_owner(self.bus, question, DocumentList, READ_SECONDS)).documents

    async def search(self, question: SearchChunks) -> list[ChunkFound]:
        """The best chunks. Raises BaseNotFound, SearchFailed."""
        found = await ask_owner(self.bus, question, ChunksFound, SEARCH_SECONDS)
        if found.error_code == "indexer.base_not_found":
            raise BaseNotFound
        if found.error_code:
            raise SearchFailed(found.error)
        return found.chunks

    async def make(self, command: SaveBase) -> BaseShown:
        """Order a base, and wait a moment until it is there."""
        await self._keep(command)

        async def is_there() -> bool:
            return bool(await self.bases(ReadBases(tenant=command.tenant, base_id=command.base_id)))

        await _patiently(is_there)
        return BaseShown(
            base_id=command.base_id,
            name=command.name,
            model=command.model,
            created_at=datetime.now(UTC),
            chunk_characters=command.chunk_characters,
            overlap_characters=command.overlap_characters,
        )

    async def order(self, command: RemoveBase | RemoveDocument | RetryDocument) -> None:
        """Keep the command, to be sent whatever happens now."""
        await self._keep(command)

    async def add(self, base_id: UUID, by: Key, uploads: Sequence[Upload]) -> list[DocumentShown]:
        """Keep the contents sealed, then order their indexing, all or none."""
        commands = [await self._stored(base_id, by, upload) for upload in uploads]
        await self._keep(*commands)
        last = commands[-1].document_id

        async def is_there() -> bool:
            question = ReadDocuments(tenant=by.tenant, base_id=base_id, document_id=last)
            return bool(await self.documents(question))

        await _patiently(is_there)
        return [_queued(command, upload.name) for command, upload in zip(commands, uploads, strict=True)]

    async def _stored(self, base_id: UUID, by: Key, upload: Upload) -> AddDocument:
        """The command for a content that survives a power cut from now on."""
        document_id = uuid7()
        context = content_context(document_id)
        sealed = await asyncio.to_thread(self.sealer.seal, by.tenant, context, upload.content)
        key = object_key(by.tenant, document_id)
        await self.objects.put(key, sealed)
        return AddDocument(
            document_id=document_id,
            base_id=base_id,
            tenant=by.tenant,
            key_id=by.id,
            object_key=key,
            media_type=upload.media_type,
            size=len(upload.content),
            sealed_name=self.sealer.seal(by.tenant, name_context(document_id), upload.name.encode()),
        )

    async def _keep(self, *commands: Contract) -> None:
        async with self.database.transaction() as tx:
            for command in commands:
                tx.publish(command)


def _queued(command: AddDocument, name: str) -> DocumentShown:
    now = datetime.now(UTC)
    return DocumentShown(
        document_id=command.document_id,
        base_id=command.base_id,
        name=name,
        media_type=command.media_type,
        size=command.size,
        state=DocumentState.QUEUED,
        version=1,
        created_at=now,
        changed_at=now,
    )


async def _patiently(is_there: Callable[[], Awaitable[bool]]) -> None:
    """Wait until what was ordered shows, but not for long: the order is kept whether it shows or not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + VISIBLE_SECONDS
    while loop.time() < end:
        try:
            if await is_there():
                return
        except PenstockError:
            return
        await asyncio.sleep(POLL_SECONDS)
