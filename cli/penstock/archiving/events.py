"""Archived events for the lists of events."""

import sys
from collections import deque
from uuid import UUID

from penstock_common.archive.damage import Damage
from penstock_common.archive.reading import archived_events
from penstock_common.events.event import StoredEvent
from penstock_common.events.selection import Selection
from penstock_common.objects_url import objects_at


async def events_in_archive(
    url: str, selection: Selection, after: UUID | None, limit: int
) -> tuple[list[StoredEvent], int]:
    """The newest of what is wanted, or the first ones behind `after`, oldest first; and how many parts are damaged.

    Those are named on standard error. Raises ObjectsUrlInvalid, ObjectsUnavailable.
    """
    damaged: list[Damage] = []
    found: deque[StoredEvent] = deque(maxlen=limit)
    async for event in archived_events(objects_at(url), selection, damaged.append):
        if after is None or event.id > after:
            found.append(event)
        if after is not None and len(found) == limit:
            break
    for damage in damaged:
        sys.stderr.write(f"damaged: {damage}\n")
    return list(found), len(damaged)
