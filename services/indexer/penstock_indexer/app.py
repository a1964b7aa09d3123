"""Indexer put together: the only place where its parts are made."""

from typing import Any

from starlette.applications import Starlette

from penstock_common.asking import Asker
from penstock_common.clock import SystemClock
from penstock_common.contracts.base import decode
from penstock_common.contracts.documents import (
    DocumentChanged,
    DocumentState,
    ReadBases,
    ReadDocuments,
    SearchChunks,
)
from penstock_common.foundation import Foundation
from penstock_common.messaging.ports import Subscription
from penstock_common.messaging.runtime import Runtime
from penstock_common.objects import LocalObjects
from penstock_common.ops import ops_routes
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import DOCUMENT_CHANGED, PLATFORM, READ_BASES, READ_DOCUMENTS, SEARCH_CHUNKS
from penstock_indexer.adapters.answers import answering
from penstock_indexer.adapters.contents import SealedContents
from penstock_indexer.adapters.documents import SqlDocuments
from penstock_indexer.adapters.embedder import BusEmbedder
from penstock_indexer.adapters.index.changes import Changes
from penstock_indexer.adapters.index.shelf import Shelf
from penstock_indexer.adapters.orders import SqlOrders
from penstock_indexer.adapters.parser import ChildParser
from penstock_indexer.adapters.removing import Removing
from penstock_indexer.adapters.search import Search
from penstock_indexer.adapters.shown import Shown
from penstock_indexer.adapters.upkeep import Upkeep
from penstock_indexer.indexing.document import Steps
from penstock_indexer.indexing.workers import Pace, Workers
from penstock_indexer.parsing.wire import Limits
from penstock_indexer.settings import Settings
from penstock_indexer.subscribers import Deps, router


class App:
    """One indexer process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.started = settings, False
        self.foundation = Foundation("indexer", settings)
        self.bus, database = self.foundation.bus, self.foundation.database
        clock, sealer = SystemClock(), Sealer(LocalKeyring(settings.keyring.path))
        objects = LocalObjects(settings.objects.path)
        self.asker = Asker("indexer", self.bus, sealer, clock)
        embedder = BusEmbedder(self.asker)
        documents = SqlDocuments(database, sealer)
        self.shelf = Shelf(settings.index.path, Changes(database, sealer), sealer, settings.open_bases)
        steps = Steps(documents, SealedContents(objects, sealer), ChildParser(limits_of(settings)), embedder)
        self.workers = Workers(documents, steps, Pace(settings.documents_at_once, settings.lease_seconds))
        self.upkeep = Upkeep(Removing(database, objects, clock), self.shelf)
        self.search, self.shown = Search(database, sealer, self.shelf, embedder), Shown(database, sealer)
        self.runtime = Runtime(self.bus, PLATFORM, router, Deps(database, SqlOrders(), self.nudge))
        self.subscriptions: list[Subscription] = []
        self.asgi: Any = Starlette(routes=ops_routes(self.checks))

    async def connect(self) -> None:
        """Reach the bus and the schema; may be repeated."""
        await self.foundation.connect()

    async def start(self) -> None:
        """Relay, answer, work and receive."""
        await self.foundation.start()
        await self.shelf.start()
        await self.asker.start()
        answers = (
            (READ_BASES, answering(READ_BASES, ReadBases, self.shown.bases)),
            (READ_DOCUMENTS, answering(READ_DOCUMENTS, ReadDocuments, self.shown.documents)),
            (SEARCH_CHUNKS, answering(SEARCH_CHUNKS, SearchChunks, self.search.answer)),
        )
        self.subscriptions = [await self.bus.answer(topic, answer) for topic, answer in answers]
        self.subscriptions.append(await self.bus.listen(DOCUMENT_CHANGED, self._on_change))
        await self.runtime.start()
        self.workers.start()
        self.upkeep.start()
        self.started = True

    async def stop(self, grace: float | None = None) -> None:
        """Receive no more, hand back what runs, publish what it said, disconnect."""
        await self.runtime.stop(self.settings.stop_grace if grace is None else grace)
        await self.upkeep.stop()
        await self.workers.stop()
        for subscription in self.subscriptions:
            await subscription.stop()
        await self.asker.stop()
        await self.shelf.stop()
        await self.foundation.stop()

    def nudge(self) -> None:
        """A command changed something."""
        self.workers.nudge()
        self.upkeep.nudge()

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""
        return {"started": self.started} | await self.foundation.checks()

    async def _on_change(self, body: bytes) -> None:
        event = decode(DocumentChanged, body)
        if event.removed or event.state is DocumentState.INDEXED:
            self.shelf.changed(event.base_id)


def limits_of(settings: Settings) -> Limits:
    """What a document's parser may use."""
    parser = settings.parser
    return Limits(parser.memory_mb << 20, parser.seconds, parser.characters, parser.pages)


def build(settings: Settings) -> App:
    """A process from its settings."""
    return App(settings)
