"""Writes segments: contents first, then the index that makes them part of the archive."""

import asyncio
from datetime import date

from penstock_common.archive import metrics
from penstock_common.archive.layout import data_key, data_name, index_key
from penstock_common.archive.segment import Member, Segment, described, digest, pack, sealed
from penstock_common.errors import Fault, PenstockError
from penstock_common.events.event import StoredEvent
from penstock_common.ids import uuid7
from penstock_common.objects import Objects

MEMBER_ROWS = 512
MEMBER_BYTES = 1 << 20
"""Bodies of one member, but for its last one."""
SEGMENT_BYTES = 8 << 20
"""Compressed; what a process holds in memory at most, but for the last member."""


class Overtaken(PenstockError):
    """Another process has archived the same events meanwhile."""

    code = "common.archive_overtaken"
    fault = Fault.CONFLICT


class Draft:
    """A segment that grows in memory until it is written."""

    def __init__(self, service: str, day: date, number: int, *, late: bool = False) -> None:
        self.service, self.day, self.number, self.late = service, day, number, late
        self._waiting: list[StoredEvent] = []
        self._size = 0
        self._packed: list[bytes] = []
        self._members: list[Member] = []

    @property
    def is_full(self) -> bool:
        """Whether it should be written before it takes more."""
        return self._offset >= SEGMENT_BYTES

    @property
    def _offset(self) -> int:
        return self._members[-1].offset + self._members[-1].length if self._members else 0

    async def add(self, event: StoredEvent) -> None:
        """Take the next event, in the order of ids."""
        self._waiting.append(event)
        self._size += len(event.body)
        if len(self._waiting) >= MEMBER_ROWS or self._size >= MEMBER_BYTES:
            await self._pack()

    async def write(self, objects: Objects) -> Segment:
        """Make it part of the archive. Raises Overtaken, ObjectsUnavailable: then nothing of it counts."""
        await self._pack()
        content = b"".join(self._packed)
        segment = Segment(
            service=self.service,
            day=self.day,
            number=self.number,
            data=data_name(self.number, uuid7()),
            bytes=len(content),
            sha256=await asyncio.to_thread(digest, content),
            count=sum(member.count for member in self._members),
            first=self._members[0].first,
            last=self._members[-1].last,
            members=tuple(self._members),
            late=self.late,
        )
        await store(objects, segment, content)
        return segment

    async def _pack(self) -> None:
        """Compress what waits, beside the event loop."""
        if self._waiting:
            packed = await asyncio.to_thread(pack, self._waiting)
            self._members.append(described(self._waiting, packed, self._offset))
            self._packed.append(packed)
            self._waiting, self._size = [], 0


async def store(objects: Objects, segment: Segment, content: bytes) -> None:
    """Put the contents, then the index unless another process was first. Raises Overtaken, ObjectsUnavailable."""
    place = data_key(segment.service, segment.day, segment.data)
    await objects.put(place, content)
    if not await objects.put_new(index_key(segment.service, segment.day, segment.number), sealed(segment)):
        await objects.delete(place)
        raise Overtaken
    metrics.BYTES.labels(segment.service).inc(len(content))
    metrics.EVENTS.labels(segment.service).inc(segment.count)
