"""Where things lie in the archive: `events/<service>/<yyyy>/<mm>/<dd>/`, and in it numbered segments."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import date
from uuid import UUID

from penstock_common.objects import Objects

ROOT = "events"
CLOSED = "closed.json"
INDEX = re.compile(r"(\d{6})\.index\.json")
DATA = re.compile(r"(\d{6})-[0-9a-f]{32}\.jsonl\.gz")
SERVICE = re.compile(r"[a-z][a-z_]{0,30}")


def day_folder(service: str, day: date) -> str:
    """The folder of one service's day, by the days of its events' ids."""
    return f"{ROOT}/{service}/{day:%Y/%m/%d}"


def index_key(service: str, day: date, number: int) -> str:
    """What makes a segment part of the archive; there is one for each number, made once."""
    return f"{day_folder(service, day)}/{number:06d}.index.json"


def data_name(number: int, nonce: UUID) -> str:
    """The name of a segment's contents; whoever fails to make the index leaves one that nobody reads."""
    return f"{number:06d}-{nonce.hex}.jsonl.gz"


def data_key(service: str, day: date, name: str) -> str:
    """Where a segment's contents are."""
    return f"{day_folder(service, day)}/{name}"


def closed_key(service: str, day: date) -> str:
    """What says that a day is complete, and of which segments it consists."""
    return f"{day_folder(service, day)}/{CLOSED}"


async def archived_services(objects: Objects) -> list[str]:
    """Services of which something is archived, by name. Raises ObjectsUnavailable."""
    return [name for name in await objects.folders(ROOT) if SERVICE.fullmatch(name)]


async def archived_days(objects: Objects, service: str, *, newest_first: bool = False) -> AsyncIterator[date]:
    """Days of which something is archived, in their order. Raises ObjectsUnavailable."""
    root = f"{ROOT}/{service}"
    for year in _ordered(await objects.folders(root), newest_first):
        for month in _ordered(await objects.folders(f"{root}/{year}"), newest_first):
            for day in _ordered(await objects.folders(f"{root}/{year}/{month}"), newest_first):
                yield date(int(year), int(month), int(day))


def _ordered(names: Sequence[str], newest_first: bool) -> list[str]:
    numbers = [name for name in names if name.isdigit()]
    return sorted(numbers, reverse=newest_first)
