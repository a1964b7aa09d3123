"""An archiver that dies of SIGKILL right after some write to the storage.

Run as `python -m tests.support.dying_archiver DATABASE STORAGE WRITES`; it ends by itself where there are fewer to do.
"""

import asyncio
import sys

from penstock_common.archive.archiver import advance
from penstock_common.archive.source import archiving
from penstock_common.archive.upkeep import Upkeep
from penstock_common.objects import LocalObjects
from penstock_common.objects_url import objects_at
from penstock_common.settings import ArchiveSettings
from penstock_common.topology import PLATFORM
from tests.support.archiving import SERVICE
from tests.support.dying import die

SETTINGS = ArchiveSettings(settle=0, hot_days=3)


class DyingObjects(LocalObjects):
    """A folder whose writer does not outlive what it wrote."""

    left = 1
    """Writes."""

    async def _keep(self, key: str) -> None:
        await super()._keep(key)
        self.left -= 1
        if not self.left:
            print(key.rpartition("/")[2], flush=True)
            die()


async def main(url: str, storage: str, writes: str) -> None:
    """A turn with upkeep."""
    plain = objects_at(storage)
    assert isinstance(plain, LocalObjects)
    objects = DyingObjects(plain.folder)
    objects.left = int(writes)
    async with archiving(url, SERVICE) as source:
        assert source, "another process archives"
        settled = await source.settled(SETTINGS.settle)
        await advance(objects, source, settled)
        await Upkeep(objects, PLATFORM, SERVICE, SETTINGS).run(source, settled)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
