"""The open indexes of this process: opened when needed, followed when told, closed when there are too many."""

import asyncio
from collections import OrderedDict
from pathlib import Path
from uuid import UUID

import structlog

from penstock_common.errors import PenstockError
from penstock_common.sealing import Sealer
from penstock_indexer.adapters.index.base_index import BaseIndex
from penstock_indexer.adapters.index.changes import Base, Changes
from penstock_indexer.adapters.index.place import OwnFolder
from penstock_indexer.domain.errors import IndexNotReady

log = structlog.get_logger()

GATHER_SECONDS = 0.3  # what changes meanwhile is taken over together
STALE_SECONDS = 1.0  # a search waits this long for the newest, then takes what is there
BUILD_SECONDS = 8.0  # and this long where there is nothing yet
SAVE_EVERY = 16  # rounds of following


class Shelf:
    """One index a base."""

    def __init__(self, root: Path, changes: Changes, sealer: Sealer, open_most: int) -> None:
        self.changes, self.sealer, self.open_most = changes, sealer, open_most
        self._place = OwnFolder(root)
        self._opening = asyncio.Lock()
        self._open: OrderedDict[UUID, BaseIndex] = OrderedDict()
        self._waiting: set[UUID] = set()
        self._nudged = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take a folder. Raises OSError."""
        await asyncio.to_thread(self._place.take)
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Bring everything to disk."""
        tasks = [task for task in (self._following, *self._running) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._save()
        self._place.release()

    def changed(self, base_id: UUID) -> None:
        """Something happened to this base."""
        self._waiting.add(base_id)
        self._nudged.set()

    async def current(self, base: Base) -> BaseIndex:
        """The base's index, as new as it can be had soon. Raises IndexNotReady, DatabaseUnavailable."""
        index = await self._opened(base)
        if index.sequence >= base.sequence:
            return index
        following = asyncio.create_task(index.follow(base, self.changes))
        self._running.add(following)
        following.add_done_callback(self._running.discard)
        patience = STALE_SECONDS if index.sequence else BUILD_SECONDS
        try:
            await asyncio.wait_for(asyncio.shield(following), patience)
        except TimeoutError:
            if not index.sequence:
                raise IndexNotReady from None
        return index

    async def sweep(self) -> None:
        """Remove the indexes of bases that are no more."""
        root = self._place.path
        for folder in await asyncio.to_thread(lambda: list(root.iterdir())):
            if await self.changes.base(UUID(folder.name)) is None:
                await self._removed(UUID(folder.name))

    async def _opened(self, base: Base) -> BaseIndex:
        async with self._opening:
            index = self._open.get(base.id)
            if index is None:
                index = BaseIndex(self._place.path / str(base.id), base.id, base.tenant, self.sealer)
                await index.load()
                self._open[base.id] = index
            self._open.move_to_end(base.id)
            while len(self._open) > self.open_most:
                _, oldest = self._open.popitem(last=False)
                await oldest.save()
        return index

    async def _removed(self, base_id: UUID) -> None:
        async with self._opening:
            index = self._open.pop(base_id, None)
            gone = index or BaseIndex(self._place.path / str(base_id), base_id, base_id, self.sealer)
            await gone.remove()

    async def _follow(self) -> None:
        rounds = 0
        while True:
            await self._nudged.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._nudged.clear()
            while self._waiting:
                await self._catch_up(self._waiting.pop())
            rounds += 1
            if rounds % SAVE_EVERY == 0 or not self._nudged.is_set():
                await self._save()

    async def _catch_up(self, base_id: UUID) -> None:
        try:
            base = await self.changes.base(base_id)
            if base is None:
                await self._removed(base_id)
            else:
                await (await self._opened(base)).follow(base, self.changes)
        except PenstockError as error:  # a search, or the next change, tries again
            log.warning("index.behind", base_id=str(base_id), reason=error.message)
        except Exception:
            log.exception("index.behind", base_id=str(base_id))

    async def _save(self) -> None:
        for index in list(self._open.values()):
            try:
                await index.save()
            except Exception:  # what is not saved is made anew from the database
                log.exception("index.unsaved", folder=str(index.folder))
