"""Indexer processes for tests, with what api would do for them."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from penstock_common.contracts.base import Contract, decode, encode
from penstock_common.contracts.documents import (
    AddDocument,
    BaseList,
    ChunksFound,
    DocumentList,
    DocumentShown,
    DocumentState,
    ReadBases,
    ReadDocuments,
    RemoveDocument,
    SaveBase,
    SearchChunks,
    SearchMode,
    content_context,
    name_context,
    object_key,
)
from penstock_common.db.transaction import Database
from penstock_common.errors import NoAnswer
from penstock_common.ids import uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus
from penstock_common.objects import LocalObjects
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.service import begin, run_service
from penstock_common.topology import PLATFORM, READ_BASES, READ_DOCUMENTS, SEARCH_CHUNKS
from penstock_indexer.app import App, build
from penstock_indexer.settings import Settings
from tests.support import dying_indexer
from tests.support.fake_embeddings import MODEL, FakeEmbeddings
from tests.support.forks import FORKS, begun, ended

TENANT, KEY = uuid7(), uuid7()
DONE = (DocumentState.INDEXED, DocumentState.FAILED)


@dataclass
class House:
    """A bus, a database, folders, an embedding model: all that indexers share."""

    bus_url: str
    database_url: str
    folder: Path
    bus: Bus
    embeddings: FakeEmbeddings
    database: Database

    def __post_init__(self) -> None:
        self.sealer = Sealer(LocalKeyring(self.folder / "keyring"))
        self.objects = LocalObjects(self.folder / "objects")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What an indexer is told."""
        folders = {name: {"path": str(self.folder / name)} for name in ("keyring", "objects", "index")}
        given = {"bus": {"url": self.bus_url}, "database": {"url": self.database_url}, "http": {"port": 0}}
        return {**given, **folders, "lease_seconds": 1.5, "stop_grace": 1.0} | changes

    @asynccontextmanager
    async def indexer(self, **changes: Any) -> AsyncIterator[App]:
        """A process in this one."""
        app = build(Settings.model_validate(self.settings(**changes)))
        await begin(app)
        try:
            yield app
        finally:
            await app.stop()

    async def process(self) -> BaseProcess:
        """A process of its own, to be killed."""
        flat = {f"{section}__{name}": v for section, inner in self.settings().items() if isinstance(inner, dict)
                for name, v in inner.items()}  # fmt: skip
        plain = {name: v for name, v in self.settings().items() if not isinstance(v, dict)}
        named = {f"PENSTOCK_INDEXER_{name.upper()}": str(value) for name, value in (flat | plain).items()}
        process = FORKS.Process(target=serve, args=(named,), daemon=True)
        await asyncio.to_thread(process.start)
        return process

    async def dying(self, fragment: str) -> BaseProcess:
        """A process that kills itself at a statement."""
        return await begun(dying_indexer.main, fragment, self.settings())

    async def send(self, command: Contract, times: int = 1) -> None:
        """As api's relay does, the same message as often as told."""
        message = envelop(command, PLATFORM.topic(type(command)))
        for _ in range(times):
            await self.bus.publish(message)

    async def base(self, tenant: UUID = TENANT, **changes: Any) -> UUID:
        """A knowledge base that is there."""
        base_id = uuid7()
        given: dict[str, Any] = {
            "base_id": base_id,
            "tenant": tenant,
            "key_id": KEY,
            "name": "handbook",
            "model": MODEL,
        }
        await self.send(SaveBase(**given | {"model": MODEL} | changes))
        await eventually(lambda: self._has_base(base_id))
        return base_id

    async def add(
        self, base_id: UUID, content: bytes, name: str = "notes.txt", media_type: str = "text/plain", **given: Any
    ) -> UUID:
        """Upload a document, as api does."""
        tenant, document_id = given.get("tenant", TENANT), given.get("document_id") or uuid7()
        key = object_key(tenant, document_id)
        if not given.get("object_is_lost"):
            await self.objects.put(key, self.sealer.seal(tenant, content_context(document_id), content))
        command = AddDocument(
            document_id=document_id,
            base_id=base_id,
            tenant=tenant,
            key_id=KEY,
            object_key=key,
            media_type=media_type,
            size=len(content),
            sealed_name=self.sealer.seal(tenant, name_context(document_id), name.encode()),
        )
        await self.send(command, given.get("times", 1))
        return document_id

    async def remove(self, base_id: UUID, document_id: UUID, tenant: UUID = TENANT) -> None:
        """Ask for a document's removal."""
        await self.send(RemoveDocument(document_id=document_id, base_id=base_id, tenant=tenant))

    async def documents(self, base_id: UUID, tenant: UUID = TENANT, **question: Any) -> list[DocumentShown]:
        """What the owner sees."""
        asked = encode(ReadDocuments(tenant=tenant, base_id=base_id, **question))
        return decode(DocumentList, await self.bus.query(READ_DOCUMENTS, asked, 5.0)).documents

    async def done(self, base_id: UUID, *ids: UUID, seconds: float = 30.0) -> list[DocumentShown]:
        """The documents once they are indexed or failed, in the order of `ids`."""
        shown: dict[UUID, DocumentShown] = {}

        async def all_done() -> bool:
            with contextlib.suppress(NoAnswer):  # no process runs just now
                shown.update({d.document_id: d for d in await self.documents(base_id)})
            return all(id_ in shown and shown[id_].state in DONE for id_ in ids)

        await eventually(all_done, seconds)
        return [shown[id_] for id_ in ids]

    async def bases(self, tenant: UUID = TENANT) -> BaseList:
        """The bases of a tenant."""
        return decode(BaseList, await self.bus.query(READ_BASES, encode(ReadBases(tenant=tenant)), 5.0))

    async def search(self, base_id: UUID, words: str, **question: Any) -> ChunksFound:
        """As api asks."""
        given: dict[str, Any] = {"tenant": TENANT, "key_id": KEY, "mode": SearchMode.HYBRID}
        asked = SearchChunks(base_id=base_id, text=words, **given | question)
        return decode(ChunksFound, await self.bus.query(SEARCH_CHUNKS, encode(asked), 20.0))

    async def fetch(self, statement: str, **given: Any) -> list[Any]:
        """Rows as tuples; single columns as values."""
        async with self.database.reading() as connection:
            rows = [tuple(row) for row in await connection.execute(text(statement), given)]
        return [row[0] if len(row) == 1 else row for row in rows]

    async def _has_base(self, base_id: UUID) -> bool:
        return bool(await self.fetch("select id from indexer.bases where id = :id", id=base_id))


async def eventually(is_true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Return once it is; fail after so many seconds."""
    async with asyncio.timeout(seconds):
        while not await is_true():
            await asyncio.sleep(0.05)


async def killed(process: BaseProcess) -> None:
    """End it as a power cut would."""
    process.kill()
    await ended(process)


def serve(environment: Mapping[str, str]) -> None:
    """Be `python -m penstock_indexer` with these variables."""
    os.environ.update(environment)
    run_service("indexer", Settings, build)
