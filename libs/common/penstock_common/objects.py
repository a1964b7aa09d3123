"""Object storage: contents under keys that the platform itself makes, never under a client's words."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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

    async def get(self, key: str) -> bytes:
        """The content. Raises ObjectMissing."""

    async def delete(self, key: str) -> None:
        """Remove it; one that is not there is no error."""

    def list(self, prefix: str) -> AsyncIterator[Stored]:
        """Every object under a folder of keys, in no order."""


class LocalObjects:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._opened: LocalStore | None = None

    async def put(self, key: str, content: bytes) -> None:
        """Write beside it, rename, flush the file and the folders on the way to it."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 (7 MB of memory, only where objects are used)

        try:
            await self._store.put_async(key, content)
            await asyncio.to_thread(self._flush, key)
        except (BaseError, OSError) as error:
            raise ObjectsUnavailable(f"{self.folder} does not take the content: {_reason(error)}.") from error

    async def get(self, key: str) -> bytes:
        """Read the file."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 (as above)

        try:
            return bytes(await (await self._store.get_async(key)).bytes_async())
        except FileNotFoundError as error:
            raise ObjectMissing(f"There is no content under {key}.") from error
        except (BaseError, OSError) as error:
            raise ObjectsUnavailable(f"{self.folder} does not give the content: {_reason(error)}.") from error

    async def delete(self, key: str) -> None:
        """Remove the file."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 (as above)

        try:
            await self._store.delete_async(key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise ObjectsUnavailable(f"{self.folder} does not remove the content: {_reason(error)}.") from error

    async def list(self, prefix: str) -> AsyncIterator[Stored]:
        """Walk the folder, a thousand files at a time."""
        async for batch in self._store.list(prefix, chunk_size=1000):
            for meta in batch:
                yield Stored(meta["path"], meta["size"], meta["last_modified"])

    @property
    def _store(self) -> "LocalStore":
        if self._opened is None:
            from obstore.store import LocalStore  # noqa: PLC0415 (as above)

            self._opened = LocalStore(self.folder, mkdir=True)
            self.folder.chmod(0o700)
        return self._opened

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
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
