"""Leftovers of an earlier run are ended; strangers that have their pid now are not."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.platform.leftovers import Ledger, Mark, end, family, read_marks

Run = Callable[[str], subprocess.Popen[bytes]]

OBEDIENT = "import time; print(flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal({int(signal.SIGTERM)}, signal.SIG_IGN); {OBEDIENT}"


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a Python program and waits until it has said something."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_noted_process_is_found_again(run: Run, tmp_path: Path) -> None:
    """What the ledger wrote is what a later run reads."""
    process = run(OBEDIENT)
    Ledger(tmp_path / "processes.json").add("api", process.pid)
    assert read_marks(tmp_path / "processes.json") == {"api": Mark.of(process.pid)}


def test_a_reused_pid_is_not_ours(run: Run) -> None:
    """A process with the pid of a leftover but another start is left alone."""
    process = run(OBEDIENT)
    stale = Mark(process.pid, "another-boot:1")
    assert not stale.is_alive()
    end([stale])
    assert process.poll() is None


def test_a_dead_process_that_nobody_reaped_is_dead(run: Run) -> None:
    """A zombie keeps its pid; waiting for it would take for ever."""
    process = run(OBEDIENT)
    mark = Mark.of(process.pid)
    process.kill()
    time.sleep(0.2)
    assert not mark.is_alive()


def test_a_frozen_process_is_woken_to_end(run: Run) -> None:
    """SIGTERM alone would wait behind SIGSTOP."""
    process = run(OBEDIENT)
    process.send_signal(signal.SIGSTOP)
    end([Mark.of(process.pid)])
    assert process.wait(1) == -signal.SIGTERM


def test_a_process_that_ignores_the_request_is_forced(run: Run) -> None:
    """After the grace comes SIGKILL."""
    process = run(DEAF)
    end([Mark.of(process.pid)], grace=0.2)
    assert process.wait(1) == -signal.SIGKILL


def test_a_family_has_the_children_of_children(run: Run) -> None:
    """`status` shows every process, not only those that were started directly."""
    inner = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {OBEDIENT!r}]).wait()"
    outer = run(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}]).wait()")
    assert len(family(outer.pid)) == 3
    end([Mark.of(pid) for pid in reversed(family(outer.pid))])


def test_a_damaged_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """A crash while it was written must not stop the next start."""
    (tmp_path / "processes.json").write_text('{"api": {"pi')
    assert read_marks(tmp_path / "processes.json") == {}
