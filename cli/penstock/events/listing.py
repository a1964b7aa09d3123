"""The list of events that a command prints."""

import sys
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from penstock.archiving.events import events_in_archive
from penstock.events.found import row_id_of
from penstock.events.listed import as_data, json_line, print_table
from penstock.events.source import bus_of, database_of, reading
from penstock.events.streams import Place, stream_events, stream_of
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import outbox_events, services_with_outbox
from penstock_common.events.selection import Selection


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be listed, and from where."""

    selection: Selection
    limit: int
    after: str = ""
    stream: str = ""
    sequence: int = 1
    archive: str = ""
    """URL of the archive that is read; empty for the outboxes."""


async def print_events(
    wanted: Wanted, data: Path | None, urls: tuple[str | None, str | None], *, as_lines: bool
) -> int:
    """Print what is wanted of the outboxes, of a stream, or of the archive; returns how much of that is damaged.

    `urls` are those of database and bus, where given.
    """
    database, bus = urls
    damaged = 0
    if wanted.archive:
        after = row_id_of(wanted.after)
        events, damaged = await events_in_archive(wanted.archive, wanted.selection, after, wanted.limit)
        numbers: list[int] = []
    elif wanted.stream:
        found = await _in_stream(bus_of(data, bus), wanted)
        events, numbers = [event for _, event in found], [number for number, _ in found]
    else:
        events, numbers = await _in_outboxes(database_of(data, database), wanted), []
    if not as_lines:
        print_table(events, numbers)
        if len(events) == wanted.limit:
            sys.stderr.write(f"Shown are {wanted.limit}; there may be more: --limit\n")
        return damaged
    for place, event in enumerate(events):
        print(json_line(as_data(event) | ({"sequence": numbers[place]} if numbers else {})))
    return damaged


async def _in_outboxes(database: str, wanted: Wanted) -> list[StoredEvent]:
    after = row_id_of(wanted.after)
    async with reading(database) as connection:
        services = await services_with_outbox(connection)
        found = outbox_events(
            connection,
            services,
            wanted.selection,
            after=after,
            limit=wanted.limit,
            backwards=after is None,
            bodies=False,
        )
        events = [event async for event in found]
    return events if after else events[::-1]


async def _in_stream(bus: str, wanted: Wanted) -> list[tuple[int, StoredEvent]]:
    found: list[tuple[int, StoredEvent]] = []
    place = Place(wanted.stream, wanted.sequence)
    async with stream_of(bus, wanted.stream) as js, aclosing(stream_events(js, place, wanted.selection)) as events:
        async for each in events:
            found.append(each)
            if len(found) == wanted.limit:
                break
    return found
