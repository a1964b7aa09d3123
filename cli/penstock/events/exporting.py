"""Events as lines of CloudEvents, to a file or to standard output."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import asyncpg

from penstock.events.choosing import ChoiceInvalid
from penstock.events.following import LATE, NOW
from penstock.events.found import row_id_of
from penstock.events.source import database_of, reading
from penstock_common.errors import ContractViolated
from penstock_common.events.cloudevents import as_line, parse_line
from penstock_common.events.event import StoredEvent
from penstock_common.events.outbox import outbox_events, services_with_outbox
from penstock_common.events.selection import Selection, first_id
from penstock_common.ids import time_of

BLOCK = 1 << 20
LONGEST_LINE = 64 << 20  # bytes; a body takes 8 MB at most on a bus


@dataclass(slots=True)
class Exported:
    """What an export wrote."""

    events: int = 0
    last: UUID | None = None
    """The row id of the last one."""
    settled: UUID | None = None
    """The last one behind which nothing can appear any more: there a later export goes on."""

    @property
    def sentence(self) -> str:
        """For people."""
        on = f"a later export goes on with --after {self.settled}" if self.settled else "all of them are of late"
        return f"{self.events} events; {on}" if self.events else "no events"


@dataclass(frozen=True, slots=True)
class Begun:
    """An export that was cut: where its file ends whole, and what it holds of late."""

    size: int
    """Bytes up to the end of the last whole line."""
    after: UUID | None = None
    """From behind this place it goes on."""
    known: frozenset[UUID] = frozenset()
    """Rows behind that place which are in the file."""


NOTHING = Begun(0)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an export goes, and from where it goes on."""

    to: Path | None
    """None is standard output."""
    after: str = ""
    resume: bool = False


async def run_export(selection: Selection, target: Target, data: Path | None, database: str | None) -> Exported:
    """Export what is wanted. Raises ChoiceInvalid, CannotRead."""
    after = row_id_of(target.after)
    if target.resume and (target.to is None or after):
        raise ChoiceInvalid("--resume goes on with the file of --to, where it ends; it takes no --after.")
    async with reading(database_of(data, database)) as connection:
        if target.to:
            return await export_to(connection, selection, target.to, Begun(0, after), resume=target.resume)
        return await export(connection, selection, sys.stdout.buffer, Begun(0, after))


async def export(
    connection: asyncpg.Connection, selection: Selection, out: BinaryIO, begun: Begun = NOTHING
) -> Exported:
    """Write what is wanted, behind what was begun; a line that was written is whole once the next one begins."""
    done = Exported()
    settles = first_id(await connection.fetchval(NOW) - LATE)
    async for event in _wanted(connection, selection, begun):
        out.write(as_line(event) + b"\n")
        done.events, done.last = done.events + 1, event.id
        if event.id < settles:
            done.settled = event.id
    out.flush()
    return done


async def _wanted(connection: asyncpg.Connection, selection: Selection, begun: Begun) -> AsyncIterator[StoredEvent]:
    services = await services_with_outbox(connection)
    async for event in outbox_events(connection, services, selection, after=begun.after):
        if event.id not in begun.known:
            yield event


async def export_to(
    connection: asyncpg.Connection, selection: Selection, path: Path, begun: Begun = NOTHING, *, resume: bool = False
) -> Exported:
    """Write a file, on disk when it returns; with `resume`, go on with one that was cut. Raises ChoiceInvalid."""
    try:
        begun = begun_in(path) if resume else begun
        with path.open("r+b" if begun.size else "wb" if resume else "xb") as out:
            out.truncate(begun.size)
            out.seek(begun.size)
            done = await export(connection, selection, out, begun)
            os.fsync(out.fileno())
    except FileExistsError as error:
        raise ChoiceInvalid(f"--to: {path} exists; go on with it by --resume, or name another file.") from error
    except OSError as error:
        raise ChoiceInvalid(f"--to: {path} can't be written: {error.strerror or error}.") from error
    return done


def begun_in(path: Path) -> Begun:
    """What an export that was cut wrote to a file; nothing where there is none. Raises ChoiceInvalid for another file.

    Rows that appeared behind others stand in the file up to `LATE` out of their order.
    """
    size, known = 0, set()
    lowest = stop = UUID(int=0)
    try:
        for end, line in lines_from_end(path):
            id_ = parse_line(line).id
            if not size:
                size, at = end, time_of(id_)
                lowest, stop = first_id(at - LATE), first_id(at - 2 * LATE)
            if id_ < stop:
                break
            known.add(id_)
    except FileNotFoundError:
        return NOTHING
    except ContractViolated as error:
        raise ChoiceInvalid(f"--resume: {path} holds a line that no export wrote: {error.message}") from error
    return Begun(size, lowest if size else None, frozenset(id_ for id_ in known if id_ > lowest))


def lines_from_end(path: Path) -> Iterator[tuple[int, bytes]]:
    """(place behind it, line) of each whole line, the last one first; a torn end is left out. Raises ChoiceInvalid."""
    with path.open("rb") as file:
        place = file.seek(0, os.SEEK_END)
        rest, end = b"", None  # what lies between `place` and `end`, or the end of the file
        while place:
            step = min(BLOCK, place)
            place -= step
            file.seek(place)
            rest = file.read(step) + rest
            while (cut := rest.rfind(b"\n", 0, len(rest) if end is None else -1)) >= 0:
                if end is not None:
                    yield end, rest[cut + 1 : -1]
                end, rest = place + cut + 1, rest[: cut + 1]
            if len(rest) > LONGEST_LINE:
                raise ChoiceInvalid(f"--resume: {path} holds a line that no export wrote: it is too long.")
        if end is not None:
            yield end, rest[:-1]
