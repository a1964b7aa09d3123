"""Who takes whose place: the successor first, and nobody leaves for one who does not come."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.platform.child import Child
from penstock.platform.crew import Crew, role_of
from penstock.platform.errors import PlatformError
from penstock.platform.leftovers import Ledger, read_marks
from penstock.platform.logs import Console, Log
from penstock.platform.program import Program, plain_environment

# Leaves at SIGQUIT when it has finished, as a service does; SIGTERM ends it at once.
SERVES = """
import signal, sys, time
def finish(*_):
    print("finishing", flush=True); time.sleep(0.5); print("finished", flush=True); sys.exit(0)
signal.signal(signal.SIGQUIT, finish)
print("up", flush=True)
time.sleep(60)
"""


class Stage:
    """A crew with one process, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.console = folder, Console()
        self.ledger = Ledger(folder / "processes.json")
        self.log = Log("job", folder, None)
        self.crew = Crew(self.ledger)

    def child(self, code: str) -> Child:
        program = Program(name="job", argv=(sys.executable, "-c", code), env=plain_environment(), cwd=self.folder)
        return Child(program, self.log, self.ledger, self.console)

    def pid(self, name: str = "job") -> int:
        return read_marks(self.folder / "processes.json")[name].pid

    def names(self) -> set[str]:
        return set(read_marks(self.folder / "processes.json"))

    async def is_up(self, times: int) -> None:
        async with asyncio.timeout(20):
            while (self.folder / "job.log").read_text().count("up") < times:
                await asyncio.sleep(0.02)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    await made.crew.add(made.child(SERVES))
    await made.is_up(1)
    made.crew.guard()
    yield made
    await made.crew.stop([["job"]])


async def ready(_pid: int) -> bool:
    return True


async def test_a_successor_is_there_before_the_other_leaves(stage: Stage) -> None:
    """Both run until the former has finished what it had begun; then one is left, and looked after."""
    former = stage.pid()
    swapping = asyncio.create_task(stage.crew.swap(stage.child(SERVES), ready, by=signal.SIGQUIT, grace=20))
    await stage.is_up(2)
    assert stage.names() == {"job", "job.leaving"}
    assert stage.pid("job.leaving") == former
    await swapping
    assert stage.names() == {"job"}
    assert stage.pid() != former
    assert (stage.folder / "job.log").read_text().endswith("finished\n")
    stage.crew.hasten()
    await stage.is_up(3)


async def test_nobody_leaves_for_a_successor_that_fails(stage: Stage) -> None:
    """The failure is told with its last words; the former goes on, and is still started again when it dies."""
    former = stage.pid()
    with pytest.raises(PlatformError, match=r"(?s)exit code 1.*not today"):
        await stage.crew.swap(stage.child("import sys; sys.exit('not today')"), _never, by=signal.SIGQUIT, grace=20)
    assert stage.names() == {"job"}
    assert stage.pid() == former
    stage.crew.hasten()
    await stage.is_up(2)


async def test_a_stop_ends_those_that_leave_too(stage: Stage) -> None:
    """Whatever was under way, nothing runs afterwards."""
    swapping = asyncio.create_task(stage.crew.swap(stage.child(SERVES), _never, by=signal.SIGQUIT, grace=20))
    await stage.is_up(2)
    swapping.cancel()
    await asyncio.wait([swapping])
    await stage.crew.stop([["job"]])
    assert stage.names() == set()


@pytest.mark.parametrize(("name", "role"), [("api", "api"), ("api.2", "api"), ("api.leaving", "api")])
def test_a_name_begins_with_the_role(name: str, role: str) -> None:
    """Whoever looks for a service finds all its processes."""
    assert role_of(name) == role


async def _never(_pid: int) -> bool:
    return False


async def test_two_of_one_name_are_looked_after_until_one_leaves(stage: Stage) -> None:
    """A platform between two buses: whichever dies is started again, and the former may be returned to."""
    former = await stage.crew.beside(stage.child(SERVES), ready)
    former.program = replace(former.program, name="job.leaving")
    former.guard()
    await stage.is_up(2)
    stage.crew.hasten()
    await stage.is_up(4)
    assert stage.names() == {"job", "job.leaving"}
    pid = stage.pid("job.leaving")
    await stage.crew.return_to("job", by=signal.SIGQUIT, grace=20)
    assert (stage.names(), stage.pid()) == ({"job"}, pid)
    await stage.crew.remove("job", grace=20)
    assert stage.names() == set()
