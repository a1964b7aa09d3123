"""A supervised process: its output kept, its death noticed, its end enforced."""

import asyncio
import io
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

import pytest

from penstock.platform import child as child_module
from penstock.platform.child import Child
from penstock.platform.errors import PlatformError
from penstock.platform.leftovers import Ledger, Mark
from penstock.platform.logs import Console, Log
from penstock.platform.program import Program, plain_environment


class Make(Protocol):
    """Starts a Python program as a supervised child."""

    async def __call__(self, code: str) -> Child: ...


WAITS = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def screen() -> io.StringIO:
    """What a person sees."""
    return io.StringIO()


@pytest.fixture
async def make(tmp_path: Path, screen: io.StringIO) -> Make:
    """Starts a Python program as a child named `job`, with its log in the test's folder."""

    async def start(code: str) -> Child:
        argv = (sys.executable, "-c", code)
        program = Program(name="job", argv=argv, env=plain_environment(), cwd=tmp_path)
        console = Console(screen)
        made = Child(program, Log("job", tmp_path, console), Ledger(tmp_path / "processes.json"), console)
        await made.start()
        return made

    return start


async def says(tmp_path: Path, text: str, times: int = 1) -> None:
    """Wait until the log has the text."""
    async with asyncio.timeout(10):
        while (tmp_path / "job.log").read_text().count(text) < times:
            await asyncio.sleep(0.02)


async def never(_pid: int) -> bool:
    return False


async def test_a_child_that_ends_while_starting_tells_its_last_words(make: Make) -> None:
    """The reason of a failed start is in what the process printed."""
    job = await make("import sys; sys.exit('no luck today')")
    with pytest.raises(PlatformError, match=r"exit code 1.*\n.*no luck today"):
        await job.ready(never)
    await job.stop(1)


async def test_a_child_that_dies_is_started_again(make: Make, tmp_path: Path, screen: io.StringIO) -> None:
    """After a pause, under a new pid, and the log says so."""
    job = await make(WAITS)
    await says(tmp_path, "up")
    job.guard()
    job.signal(signal.SIGKILL)
    await says(tmp_path, "up", times=2)
    await job.stop(1)
    assert "job ended with SIGKILL; starting it again in 0.2 s" in screen.getvalue()


async def test_a_stopped_child_stays_stopped(make: Make, tmp_path: Path) -> None:
    """Nobody starts again what was asked to end."""
    job = await make(WAITS)
    await says(tmp_path, "up")
    job.guard()
    await job.stop(5)
    await asyncio.sleep(2 * child_module.FIRST_PAUSE)
    assert (tmp_path / "job.log").read_text().count("up") == 1


async def test_a_deaf_child_is_forced(make: Make, tmp_path: Path) -> None:
    """A process that ignores its stop signal doesn't hold up the end."""
    job = await make(f"import signal; signal.signal({int(signal.SIGTERM)}, signal.SIG_IGN); {WAITS}")
    await says(tmp_path, "up")
    async with asyncio.timeout(5):
        await job.stop(0.2)


async def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the one who started it leaves no orphan."""
    program = f"Program(name='job', argv=(sys.executable, '-c', {WAITS!r}), env=plain_environment(), cwd=Path('/'))"
    code = (
        "import subprocess, sys, time; from pathlib import Path\n"
        "from penstock.platform.program import Program, plain_environment\n"
        f"program = {program}\n"
        "child = subprocess.Popen(program.argv, stdout=subprocess.DEVNULL, **program.popen_arguments())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    orphan = Mark.of(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(5):
        while orphan.is_alive():
            await asyncio.sleep(0.02)


async def test_an_endless_line_is_broken_and_kept(tmp_path: Path) -> None:
    """A process without newlines must not fill the memory."""
    log = Log("job", tmp_path, None)
    output = asyncio.StreamReader(limit=1 << 24)
    output.feed_data(b"x" * 3_000_000 + b"\nend")
    output.feed_eof()
    await log.follow(output)
    log.close()
    lines = (tmp_path / "job.log").read_text().splitlines()
    assert len(lines) > 2
    assert sum(map(len, lines[:-1])) == 3_000_000
    assert lines[-1] == "end"


async def test_log_files_are_bounded(tmp_path: Path) -> None:
    """A chatty process fills no disk."""
    log = Log("job", tmp_path, None)
    for _ in range(40):
        log.line("x" * 1_000_000)
    log.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("job.log*")) <= 21_000_000


def test_a_reader_that_stalls_does_not_stall_the_platform() -> None:
    """Lines beyond the backlog are dropped on the screen; the files have them."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        console = Console(stream)
        for number in range(20_000):
            console.say("job", f"{number:0100d}")
        os.close(reader)
        console.close()
