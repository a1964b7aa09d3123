"""An archiver that dies of SIGKILL right after some write to the storage."""

from pathlib import Path

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
    told: Path
    """The file that says what was written last."""

    async def _keep(self, key: str) -> None:
        await super()._keep(key)
        self.left -= 1
        if not self.left:
            self.told.write_text(key.rpartition("/")[2])
            die()


async def main(url: str, storage: str, writes: int, told: Path) -> None:
    """A turn with upkeep, which ends by itself where there is less to write."""
    plain = objects_at(storage)
    assert isinstance(plain, LocalObjects)
    objects = DyingObjects(plain.folder)
    objects.left, objects.told = writes, told
    async with archiving(url, SERVICE) as source:
        assert source, "another process archives"
        settled = await source.settled(SETTINGS.settle)
        await advance(objects, source, settled)
        await Upkeep(objects, PLATFORM, SERVICE, SETTINGS).run(source, settled)
