"""Makes a projection anew, compares it until what may settle has settled, and swaps it if it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import text

from penstock.acting import acting
from penstock.events.source import reading
from penstock.projecting.comparison import Difference, Statements, compare, given_to
from penstock.projecting.rebuilding import Rebuilt, session
from penstock.replay.plan import Plan
from penstock.replay.source import Source
from penstock_common.events.selection import Selection
from penstock_common.ids import uuid7
from penstock_common.projection import Projection
from penstock_common.topology import PLATFORM

ACT = "events.project"
PAUSE = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Places:
    """Where events are read, and where the projection is."""

    database: str
    """For a role that reads all outboxes."""
    owner: str
    """For the projection's service."""
    bus: str = ""
    """For the audit log, where something is changed."""
    archive: str = ""
    """Read before the outboxes, where they have forgotten the beginning."""


@dataclass(frozen=True, slots=True)
class Projected:
    """What came of it."""

    name: str
    events: int
    difference: Difference
    swapped: bool = False
    damaged: list[str] = field(default_factory=list)


async def check(projection: Projection, places: Places, settle: float) -> Projected:
    """Compare; what differs only because events are under way is waited for, `settle` seconds at most."""
    async with rebuilding(projection, places) as (rebuilt, sources):
        deadline = time.monotonic() + settle
        difference = await compare(rebuilt)
        while difference.total and time.monotonic() < deadline:
            await rebuilt.connection.commit()
            await asyncio.sleep(PAUSE)
            await rebuilt.catch_up()
            difference = await compare(rebuilt)
        return Projected(projection.name, rebuilt.events, difference, damaged=damaged(sources))


async def swap(projection: Projection, places: Places) -> Projected:
    """Put what events make in the place of what is there, in one transaction; readers of the table are not held up."""
    async with rebuilding(projection, places) as (rebuilt, sources):
        async with acting(places.bus, ACT, {"projection": projection.name}) as act:
            difference = await _exchange(rebuilt)
            counts = {"missing": difference.missing, "differing": difference.differing, "surplus": difference.surplus}
            act.results.update({name: str(count) for name, count in counts.items()})
        return Projected(projection.name, rebuilt.events, difference, swapped=True, damaged=damaged(sources))


@asynccontextmanager
async def rebuilding(projection: Projection, places: Places) -> AsyncIterator[tuple[Rebuilt, list[Source]]]:
    """The table made anew, with where its events were read. Raises CannotRead, CannotProject."""
    chosen = Selection(subjects=(PLATFORM.topic(projection.contract).subject,))
    async with reading(places.database) as events, session(places.owner) as connection:
        kept = Source(Plan(uuid7(), chosen), events)
        archived = [Source(Plan(uuid7(), chosen, archive=places.archive), events)] if places.archive else []
        rebuilt = Rebuilt(projection, connection, kept)
        await rebuilt.make(archived)
        yield rebuilt, [*archived, kept]


async def _exchange(rebuilt: Rebuilt) -> Difference:
    """Whoever writes waits meanwhile: what was handled until then is among the events, what comes later is handled."""
    sql, connection = Statements(rebuilt.projection), rebuilt.connection
    await connection.execute(text(f"lock table {sql.live} in share row exclusive mode"))
    await rebuilt.catch_up()
    difference = await compare(rebuilt)
    for statement in (sql.delete, sql.update, sql.insert):
        await connection.execute(text(statement), given_to(statement, rebuilt))
    await connection.commit()
    return difference


def damaged(sources: list[Source]) -> list[str]:
    """What of the archive could not be read."""
    return [line for source in sources for line in source.damaged]
