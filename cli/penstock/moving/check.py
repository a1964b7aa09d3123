"""Whether a platform could be moved to another bus now, and what stands in the way."""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import asyncpg

from penstock.events.source import CannotRead, reading
from penstock.moving.left import left_on
from penstock.moving.trial import LARGEST_BODY, OLDEST, has, try_out
from penstock_common.errors import BusUnavailable, TopologyRefused
from penstock_common.messaging.connect import diff_topology
from penstock_common.messaging.inspection import BusRefused

CONNECTIONS = "select current_setting('max_connections')::int - count(*) from pg_stat_activity"
EACH = 6  # connections of one process
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    mend: str = ""
    """What to do; empty where nothing stands in the way."""

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self) | {"ok": not self.mend}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be moved where."""

    source: str
    target: str
    """Empty for the embedded bus, which is started only for the move."""
    database: str
    processes: int
    """Of all services."""
    goes_on: bool = False
    """Whether a move there was begun: what lies there then is the platform's own."""

    @property
    def is_there(self) -> bool:
        """Whether the platform uses that bus already, or is about to leave the former one for it."""
        return self.source == self.target


async def check(plan: Plan) -> list[Finding]:
    """Everything that was found, in the order of a move."""
    found = [finding async for finding in _source(plan)]
    if plan.target:
        found += [finding async for finding in _target(plan)]
    return [*found, await _room(plan)]


async def _source(plan: Plan) -> AsyncIterator[Finding]:
    try:
        left = await left_on(plan.source)
    except (BusUnavailable, BusRefused, ValueError) as error:
        mend = "a bus that is gone can't be moved from: penstock down, penstock up --bus …, penstock bus rebuild"
        yield Finding("bus in use", f"it does not answer: {error}", mend)
        return
    yield Finding("bus in use", f"{left} messages wait or are being handled")


async def _target(plan: Plan) -> AsyncIterator[Finding]:
    try:
        await left_on(plan.target)  # gives up at once where nobody is there
        server, same = await try_out(plan.target, partial(has, plan.source))
        changes = await diff_topology(plan.target)
        left = await left_on(plan.target)
    except BusRefused:
        yield Finding("new bus", "it refuses this user or password", "correct them in --to, or on the server")
        return
    except (BusUnavailable, TopologyRefused, ValueError) as error:
        mend = "start it, correct --to, or give this user the right to make, fill, read and remove what it needs"
        yield Finding("new bus", f"it can't be used: {error}", mend)
        return
    if same:
        yield Finding("new bus", "it is the one in use, under another address", "name another one")
        return
    too_old = f"use {server.kind} {'.'.join(map(str, OLDEST[server.kind]))} or newer" if server.is_old else ""
    yield Finding("version", f"{server.kind} {server.version}", too_old)
    small = f"let it take {LARGEST_BODY} (max_payload)" if server.largest < LARGEST_BODY else ""
    yield Finding("largest message", f"{server.largest} bytes", small)
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    yield Finding("topics and consumers", "; ".join(changes[:SHOWN]) + more or "all there")
    foreign = "another platform may use it: choose another account or virtual host, or empty it"
    yield Finding("messages there", str(left), foreign if left and not plan.goes_on else "")


async def _room(plan: Plan) -> Finding:
    """For a second crew beside the first."""
    needed = EACH * plan.processes
    try:
        async with reading(plan.database) as connection:
            free = await _free(connection)
    except CannotRead as error:
        return Finding("database", error.message, "start it, or correct --database")
    mend = "" if free >= needed else f"raise max_connections: a second crew needs {needed}"
    return Finding("database", f"{free} connections free", mend)


async def _free(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval(CONNECTIONS))
