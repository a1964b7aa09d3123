"""Object storage: contents under keys that the platform itself makes, never under a client's words."""

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penstock_common.errors import Fault, PenstockError

if TYPE_CHECKING:
    from obstore.store import LocalStore


class ObjectMissing(PenstockError):
    """The stored content is not there any more."""

    code = "common.object_missing"
    fault = Fault.MISSING


class ObjectsUnavailable(PenstockError):
    """The object storage can't be reached, or is full; try again shortly."""

    code = "common.objects_unavailable"
    fault = Fault.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is there."""

    key: str
    size: int
    """Bytes."""
    modified_at: datetime


class Objects(Protocol):
    """Where contents rest. Every method raises ObjectsUnavailable."""

    async def put(self, key: str, content: bytes) -> None:
        """Keep a content; it survives a power cut once this returns. The same key again replaces it."""

    async def put_new(self, key: str, content: bytes) -> bool:
        """The same for a key that nothing is under; False, and nothing is changed, where something is."""

    async def get(self, key: str) -> bytes:
        """The content. Raises ObjectMissing."""

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """So many bytes from an offset on, which have to be there. Raises ObjectMissing."""

    async def delete(self, key: str) -> None:
        """Remove it; one that is not there is no error."""

    def list(self, prefix: str) -> AsyncIterator[Stored]:
        """Every object under a folder of keys, in no order."""

    async def folders(self, prefix: str) -> Sequence[str]:
        """The last parts of the folders that lie directly in a folder of keys, in their order."""


class ObstoreObjects(ABC):
    """What obstore does alike for every kind of storage."""

    place = ""
    """Where this is, for sentences."""

    async def put(self, key: str, content: bytes) -> None:
        """Replace the content of a key."""
        with self._translated("take"):
            await self._store.put_async(key, content)
            await self._keep(key)

    async def put_new(self, key: str, content: bytes) -> bool:
        """Ask for a content that is the first of its key."""
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415 (7 MB of memory, only where objects are used)

        with self._translated("take"):
            try:
                await self._store.put_async(key, content, mode="create")
            except AlreadyExistsError:
                return False
            await self._keep(key)
            return True

    async def get(self, key: str) -> bytes:
        """Read the whole."""
        with self._translated("give", key):
            return bytes(await (await self._store.get_async(key)).bytes_async())

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read a part."""
        with self._translated("give", key):
            return bytes(await self._store.get_range_async(key, start=start, length=length))

    async def delete(self, key: str) -> None:
        """Remove it."""
        with self._translated("remove"), contextlib.suppress(FileNotFoundError):
            await self._store.delete_async(key)

    async def list(self, prefix: str) -> AsyncIterator[Stored]:
        """A thousand at a time."""
        with self._translated("list"):
            async for batch in self._store.list(prefix, chunk_size=1000):
                for meta in batch:
                    yield Stored(meta["path"], meta["size"], meta["last_modified"])

    async def folders(self, prefix: str) -> Sequence[str]:
        """By the storage's own notion of a folder."""
        with self._translated("list"):
            found = await self._store.list_with_delimiter_async(prefix)
            return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    @abstractmethod
    async def _keep(self, key: str) -> None:
        """Whatever a content needs after it was taken, to survive a power cut."""

    @cached_property
    def _store(self) -> Any:
        return self._open()

    @abstractmethod
    def _open(self) -> Any:
        """The library's own store, made when it is first used."""

    @contextlib.contextmanager
    def _translated(self, act: str, key: str = "") -> Iterator[None]:
        """Raise our errors in place of the library's."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 (as above)

        try:
            yield
        except FileNotFoundError as error:
            if key:
                raise ObjectMissing(f"There is no content under {key}.") from error
            raise ObjectsUnavailable(f"{self.place} can't {act} contents: {_reason(error)}.") from error
        except (BaseError, OSError) as error:
            raise ObjectsUnavailable(f"{self.place} can't {act} contents: {_reason(error)}.") from error


class LocalObjects(ObstoreObjects):
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.place = str(self.folder)

    async def _keep(self, key: str) -> None:
        await asyncio.to_thread(self._flush, key)

    def _open(self) -> "LocalStore":
        from obstore.store import LocalStore  # noqa: PLC0415 (as above)

        store = LocalStore(self.folder, mkdir=True, automatic_cleanup=True)
        self.folder.chmod(0o700)
        return store

    def _flush(self, key: str) -> None:
        """The library renames without flushing (object_store's local backend)."""
        path = self.folder / key
        for place in (path, *path.parents):
            flush(place)
            if place == self.folder:
                return


def flush(path: Path) -> None:
    """Bring a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:400] if str(error) else type(error).__name__
