"""`penstock bus migrate`: what is to be moved, in which steps, and the order to the supervisor."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

from penstock.acting import acting
from penstock.doctor.addresses import shown
from penstock.events.source import bus_of, database_of
from penstock.moving.check import Plan
from penstock.platform.chosen_bus import EMBEDDED, load_choice
from penstock.platform.control import MIGRATE, ordered
from penstock.platform.credentials import SERVICES
from penstock.platform.errors import NotRunning, PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.servers import check_bus
from penstock.platform.state import State, running
from penstock_common.errors import Fault

ACT = "bus.migrate"
STEPS = (
    "lay out topics and consumers on the new bus; nobody is told that anything was lost",
    "start a second process of each service on the new bus, behind the same port: {processes} in all",
    "the former processes leave the outboxes to the new ones; what is committed is published on the new bus",
    "scheduler and api, worker and indexer, inference and billing end what they began, up to 120 s each pair",
    "what is left on the former bus is handed over: {left}",
    "remember the new bus for each later start",
)


class NotMovable(PlatformError):
    """The platform can't be moved as it is."""

    code = "cli.bus_not_movable"
    fault = Fault.CONFLICT
    exit_status: ClassVar[int] = 1


def plan_of(data: Path | None, to: str, bus: str | None, database: str | None) -> Plan:
    """What a move would be. Raises PlatformError."""
    if to != EMBEDDED:
        check_bus("--to", to)
    folder = DataFolder.at(data)
    return Plan(
        source=bus_of(data, bus),
        target="" if to == EMBEDDED else to,
        database=database_of(data, database),
        processes=_processes(folder),
        goes_on=load_choice(folder, None).moving_to == to,
    )


def steps(plan: Plan, left: str) -> list[str]:
    """A move in sentences; `left` tells what lies on the bus in use."""
    return [step.format(processes=plan.processes, left=left) for step in STEPS]


async def migrate(data: Path | None, to: str) -> AsyncIterator[str]:
    """Have the supervisor move the platform; gives what it says. Raises PlatformError, ActUntold.

    Whoever stops to listen does not stop the move; ordered again, it tells how it goes on.
    """
    state = mine(data)
    given = {"from": shown(state.bus), "to": to if to == EMBEDDED else shown(to)}
    async with acting(state.bus, ACT, given) as act:
        async for said in ordered(state.control, MIGRATE, [to]):
            yield said
        act.ends_on = running(DataFolder.at(data)).bus


def mine(data: Path | None) -> State:
    """The platform that runs under a supervisor on this machine. Raises PlatformError."""
    state = running(DataFolder.at(data))
    if not state.control:
        raise NotMovable(
            "This platform is supervised elsewhere: move it there step by step, see docs/howto/move-the-bus.md."
        )
    return state


def _processes(folder: DataFolder) -> int:
    try:
        return len(running(folder).metrics) or len(SERVICES)
    except NotRunning:
        return len(SERVICES)
