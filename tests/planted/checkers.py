"""What must turn red. Each runs in a process that may have a fault, on servers that are given by their URLs."""

import asyncio
from pathlib import Path

import msgspec
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.crash_points.crews import Books
from tests.integration.crash_points.plays import PLAYS
from tests.integration.crash_points.stage import a_stage
from tests.state_machines.ledger import LedgerMachine
from tests.state_machines.machine import Machine, few
from tests.state_machines.outbox import OutboxMachine
from tests.state_machines.take_over import TakeOverMachine
from tests.state_machines.ticks import TickMachine
from tests.support.databases import Databases

SECONDS = 8.0


class Servers(msgspec.Struct, frozen=True):
    """Where a checker finds what it needs."""

    admin: str
    services: dict[str, str]
    trial: str
    """A database with the schema `trial`."""
    bus: str
    folder: str


def walk(machine: type[Machine], **where: object) -> None:
    """The walks that every test run makes; the first that fails is told of as it is."""
    run_state_machine_as_test(type(machine.__name__, (machine,), where), settings=few())


async def bury(servers: Servers) -> None:
    """A message that can't be handled lies among the dead letters."""
    databases, play = Databases(servers.admin, "", servers.services), PLAYS["burial"]
    async with a_stage(databases, servers.bus, Path(servers.folder)) as stage:
        work = await play.begin(stage)
        books = Books(servers.bus, servers.services["billing"])
        await books.start()
        wanted, deadline = tuple(sorted(play.heard)), asyncio.get_running_loop().time() + SECONDS
        while (
            heard := (await stage.ending(work.own)).heard
        ) != wanted and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        await books.stop()
        assert heard == wanted


CHECKERS = {
    "outbox": lambda s: walk(OutboxMachine, url=s.trial),
    "ledger": lambda s: walk(LedgerMachine, url=s.services["billing"]),
    "take-over": lambda s: walk(TakeOverMachine, url=s.services["inference"], keys=Path(s.folder) / "keys"),
    "ticks": lambda s: walk(TickMachine, url=s.services["scheduler"], keyring=Path(s.folder) / "keyring"),
    "dead letters": lambda s: asyncio.run(bury(s)),
}
