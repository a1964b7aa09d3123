"""Schedules, disks and clocks of a chaos run do what the report says of them."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock_common.messaging.connect import make_topology_job
from tests.chaos.clocked import set_offset
from tests.chaos.disks import Disk, SizeLimit, make_disk
from tests.chaos.faults import BUS, CLUSTER, ENGINE, POSTGRES, PROCESSES, Kind, cable, schedule

pytestmark = pytest.mark.chaos

BUSES = ("nats", "rabbitmq", CLUSTER)
LONG = 1000.0  # seconds: every kind comes more than once
CLOCK = (
    "import time; from penstock_common.clock import SystemClock; print(time.time(), SystemClock().now().timestamp())"
)
WRITER = """
import errno, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
while sys.stdin.readline():
    try:
        print(open(sys.argv[1], "ab", 0).write(b"x" * 8192), flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"""


@pytest.mark.parametrize("bus", BUSES)
def test_a_seed_is_a_schedule(bus: str) -> None:
    """The same one each time, and another one for another seed."""
    assert schedule(5, LONG, bus) == schedule(5, LONG, bus) != schedule(6, LONG, bus)


@pytest.mark.parametrize("bus", BUSES)
def test_every_kind_comes_at_every_kind_of_target(bus: str) -> None:
    """Each service is killed, frozen and restarted; each server, too; each kind of fault is there."""
    faults = schedule(5, LONG, bus)
    struck = {(fault.kind, fault.target.rpartition("-")[0] or fault.target) for fault in faults}
    for target in (*PROCESSES, BUS, POSTGRES):
        kills = () if target in (BUS, POSTGRES) else (Kind.KILL,)
        assert {(kind, target) for kind in (*kills, Kind.FREEZE, Kind.RESTART)} <= struck
    kinds = {fault.kind for fault in faults}
    assert kinds == set(Kind) - (set() if bus == CLUSTER else {Kind.KILL_LEADER})
    cables = {cable(f"{service}-{n}", server) for service in PROCESSES for n in range(2) for server in (BUS, POSTGRES)}
    assert {f.target for f in faults if "~" in f.target} <= cables | {cable("inference", ENGINE)}


def test_the_slices_of_two_buses_share_the_kinds() -> None:
    """NATS begins with those with which RabbitMQ ends."""
    first = {(fault.kind, fault.target) for fault in schedule(12, 80.0, "nats")}
    second = {(fault.kind, fault.target) for fault in schedule(12, 80.0, "rabbitmq")}
    assert len(first & second) * 4 < len(first)


@asynccontextmanager
async def a_writer(file: Path) -> AsyncIterator[tuple[int, Callable[[], Awaitable[str]]]]:
    """A process, and how to have it write 8 KiB more into a file: what it says of it."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(file)), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin
    assert child.stdout
    asking, saying = child.stdin, child.stdout

    async def write() -> str:
        asking.write(b"\n")
        return (await asyncio.wait_for(saying.readline(), 10)).decode().strip()

    try:
        yield child.pid, write
    finally:
        child.kill()
        await child.wait()


@pytest.mark.parametrize("make", [make_disk, lambda folder: SizeLimit()], ids=["as here", "without root"])
async def test_a_disk_is_full_and_has_room_again(make: Callable[[Path], Disk], tmp_path: Path) -> None:
    """A running process can't write any more, and can go on as soon as somebody has made room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = make(folder)
    try:
        async with a_writer(folder / "file") as (pid, write):
            assert await write() == "8192"
            disk.fill([pid])
            assert {await write() for _ in range(4)} & {"ENOSPC", "EFBIG"}
            disk.free([pid])
            assert await write() == "8192"
    finally:
        disk.remove()


async def test_a_process_has_a_clock_of_its_own(tmp_path: Path) -> None:
    """Both wall clocks are wrong by what its file says."""
    file, module = tmp_path / "clock", tmp_path / "tells_time.py"
    module.write_text(CLOCK)
    set_offset(file, -3600.0)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = (sys.executable, "-m", "tests.chaos.clocked", "tells_time", str(file))
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    told, _ = await child.communicate()
    assert [float(each) for each in told.split()] == pytest.approx([time.time() - 3600.0] * 2, abs=30)


@pytest.mark.parametrize("said", ["2", "many", "0"])
def test_replicas_are_a_majority(said: str) -> None:
    """A bus URL that asks for what is none says so."""
    with pytest.raises(ValueError, match="replicas"):
        make_topology_job(f"nats://h?replicas={said}")
