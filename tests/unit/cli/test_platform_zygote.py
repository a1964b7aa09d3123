"""A loaded process that becomes others: what they are told is theirs, and nobody's death is another's."""

import asyncio
import json
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from penstock.platform import forking
from penstock.platform.errors import PlatformError
from penstock.platform.forking import Forked, Zygote
from penstock.platform.leftovers import Ledger
from penstock.platform.logs import Console
from penstock.platform.orphans import Orphans
from penstock.platform.program import Program
from penstock.platform.services import code_of

JOB = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ.get("TOLD"), "HOME" in os.environ, sys.stdin.read(), flush=True)
print(sorted(map(int, os.listdir("/proc/self/fd")))[:-1], os.getsid(0) == os.getpid(), flush=True)
print("last words", file=sys.stderr)
exec(sys.argv[1])
"""


@pytest.fixture
async def zygote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Zygote]:
    """A loaded one; the module `job` is there to become."""
    (tmp_path / "job.py").write_text(JOB)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    orphans = Orphans()
    orphans.start()
    made = Zygote(tmp_path, Ledger(tmp_path / "processes.json"), Console(), ("json",))
    await made.child.start()
    await made.child.ready(made.is_loaded)
    yield made
    await made.child.stop(5)
    made.close()
    await orphans.stop()


def job(tmp_path: Path, code: str, *, inherited: tuple[int, ...] = ()) -> Program:
    return Program(
        name="job",
        argv=(sys.executable, "-m", "job", code),
        env={"TOLD": "so"},
        cwd=tmp_path,
        inherited=inherited,
    )


async def words(process: Forked) -> list[str]:
    async with asyncio.timeout(20):
        return (await process.stdout.read()).decode().splitlines()


async def test_a_forked_process_is_as_if_started_alone(zygote: Zygote, tmp_path: Path) -> None:
    """Arguments, folder, environment, input, file descriptors and session are its own; its exit code is told."""
    reader, writer = os.pipe()
    process = await zygote.spawn(job(tmp_path, "sys.exit(7)", inherited=(writer,)), b"read this")
    os.close(reader)
    os.close(writer)
    assert await words(process) == [
        f"['sys.exit(7)'] {tmp_path} so False read this",
        "[0, 1, 2, 3] True",
        "last words",
    ]
    assert await process.wait() == process.returncode == 7


async def test_a_forked_process_is_named_by_its_own_command(zygote: Zygote, tmp_path: Path) -> None:
    """`ps` shows what would have been started, under the supervisor."""
    process = await zygote.spawn(job(tmp_path, "import time; time.sleep(60)"))
    await process.stdout.readline()
    seen = psutil.Process(process.pid)
    assert " ".join(seen.cmdline()).strip() == f"{sys.executable} -m job import time; time.sleep(60)"
    assert seen.ppid() == os.getpid()
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


async def test_a_killed_zygote_takes_nobody_with_it(zygote: Zygote, tmp_path: Path) -> None:
    """What it forked goes on; what is ordered meanwhile is forked by its successor."""
    zygote.child.guard()
    former = await zygote.spawn(job(tmp_path, "import time; time.sleep(60)"))
    zygote.child.signal(signal.SIGKILL)
    later = await zygote.spawn(job(tmp_path, "sys.exit(3)"))
    assert await later.wait() == 3
    assert former.returncode is None
    former.send_signal(signal.SIGTERM)
    assert await former.wait() == -signal.SIGTERM


async def test_an_order_that_died_with_a_zygote_is_given_again(zygote: Zygote, tmp_path: Path) -> None:
    """It had taken the order, and forked nothing yet."""
    zygote.child.guard()
    zygote.child.signal(signal.SIGSTOP)
    assert zygote.child._process
    stopped = psutil.Process(zygote.child._process.pid)
    async with asyncio.timeout(30):
        while stopped.status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.01)
        forking_one = asyncio.create_task(zygote.spawn(job(tmp_path, "sys.exit(3)")))
        while not select.select([zygote._theirs], [], [], 0)[0]:
            await asyncio.sleep(0.01)
    _, taken, _, _ = socket.recv_fds(zygote._theirs, 1, 8)
    for fd in taken:
        os.close(fd)
    zygote.child.signal(signal.SIGKILL)
    assert await (await forking_one).wait() == 3


async def test_an_order_that_nobody_takes_is_given_up(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence; and what comes of it after all is ended."""
    zygote.child.signal(signal.SIGSTOP)
    with monkeypatch.context() as patience:
        patience.setattr(forking, "FORKED_WITHIN", 0.3)
        with pytest.raises(PlatformError, match="job can't be started: nothing forks it"):
            await zygote.spawn(job(tmp_path, "import time; time.sleep(60)"))
    zygote.child.signal(signal.SIGCONT)
    later = await zygote.spawn(job(tmp_path, "sys.exit(3)"))
    assert await later.wait() == 3
    async with asyncio.timeout(10):
        while any("time.sleep(60)" in command_of(child) for child in psutil.Process().children()):
            await asyncio.sleep(0.05)


def command_of(process: psutil.Process) -> str:
    """Its command line; none of one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def test_many_at_once_are_not_mixed_up(zygote: Zygote, tmp_path: Path) -> None:
    """Each order has its own process."""
    processes = await asyncio.gather(*(zygote.spawn(job(tmp_path, f"sys.exit({code})")) for code in range(20)))
    assert [await process.wait() for process in processes] == list(range(20))


async def test_a_zygote_that_can_not_load_says_why(tmp_path: Path) -> None:
    """Its last lines are the reason of a failed start."""
    made = Zygote(tmp_path, Ledger(tmp_path / "processes.json"), Console(), ("no_such_module",))
    await made.child.start()
    with pytest.raises(PlatformError, match="No module named 'no_such_module'"):
        await made.child.ready(made.is_loaded)
    await made.child.stop(5)
    made.close()


@pytest.mark.parametrize("bus", ["nats://", "amqp://"])
async def test_all_code_of_the_platform_loads_without_a_thread(tmp_path: Path, bus: str) -> None:
    """A fork has the thread that forks only: a lock that another held would stay locked for ever."""
    made = Zygote(tmp_path, Ledger(tmp_path / "processes.json"), Console(), code_of(bus))
    await made.child.start()
    await made.child.ready(made.is_loaded)
    pid = json.loads((tmp_path / "processes.json").read_text())["zygote"]["pid"]
    assert psutil.Process(pid).num_threads() == 1
    await made.child.stop(5)
    made.close()


async def test_an_orphan_is_adopted_and_reaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lost its parent leaves no zombie."""
    monkeypatch.setattr("penstock.platform.orphans.PAUSE", 0.05)
    orphans = Orphans()
    orphans.start()
    code = "import os, time\nif os.fork(): os._exit(0)\nprint(os.getpid(), flush=True)\ntime.sleep(0.3)"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    orphan = psutil.Process(int(await parent.stdout.readline()))
    await parent.wait()
    assert orphan.ppid() == os.getpid()
    async with asyncio.timeout(5):
        while psutil.pid_exists(orphan.pid):
            await asyncio.sleep(0.02)
    await orphans.stop()
