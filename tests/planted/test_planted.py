"""Every planted fault turns its checker red; without one, every checker is green."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis.errors import Flaky

from tests.planted.checkers import CHECKERS, Servers
from tests.planted.faults import FAULTS, Fault
from tests.support.databases import Databases
from tests.support.forks import FORKS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GREEN, RED = 0, 3


def check(checker: str, plant: Callable[[], None] | None, servers: Servers) -> None:
    """Plant a fault, run a checker, and end with what it said."""
    with (Path(servers.folder) / "log").open("wb") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    if plant:
        plant()
    try:
        CHECKERS[checker](servers)
    except (AssertionError, Flaky):  # a race makes one walk fail and its repetition not: as red as any
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(RED)
    os._exit(GREEN)


def verdict(checker: str, plant: Callable[[], None] | None, servers: Servers) -> tuple[int | None, str]:
    """The exit code of a process with a fault, and the end of what it printed."""
    process = FORKS.Process(target=check, args=(checker, plant, servers))
    process.start()
    process.join()
    return process.exitcode, (Path(servers.folder) / "log").read_text()[-3000:]


@pytest.fixture
def servers(databases: Databases, trial_url: str, nats_url: str, tmp_path: Path) -> Servers:
    """Databases of this test's own, and an empty NATS."""
    return Servers(databases.admin, dict(databases.services), trial_url, nats_url, str(tmp_path))


@pytest.mark.parametrize("checker", CHECKERS)
def test_without_a_fault_it_is_green(checker: str, servers: Servers) -> None:
    """Else red would mean nothing."""
    code, said = verdict(checker, None, servers)
    assert code == GREEN, said


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__)
def test_a_fault_is_seen(fault: Fault, servers: Servers) -> None:
    """By the checker that the table names."""
    code, said = verdict(fault.checker, fault.plant, servers)
    assert code == RED, said
    print(f"{fault.plant.__name__}: {fault.checker} is red: {said.strip().splitlines()[-1][:200]}")


def test_the_table_is_whole() -> None:
    """It names each fault, and the checker that sees it."""
    rows = [line.split("|") for line in (Path(__file__).parent / "README.md").read_text().splitlines()]
    told = {(row[1].strip(" `"), row[3].strip()) for row in rows if len(row) > 3 and "`" in row[1]}
    assert told == {(fault.plant.__name__, fault.checker) for fault in FAULTS}
