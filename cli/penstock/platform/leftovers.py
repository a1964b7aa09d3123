"""Processes that an earlier run left behind, told apart from strangers that have their pid now."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from penstock.platform.errors import PlatformError
from penstock.platform.files import read_json, write_json

GRACE = 10.0  # seconds
POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Mark:
    """A process for all time: pids are reused, a pid with its start time in one boot is not."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Mark":
        """The mark of a living process; raises OSError where there is none."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The command may contain spaces and brackets; the start time is the 20th field after it (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(pid, f"{boot}:{fields[19]}")

    def is_alive(self) -> bool:
        """Whether that process still runs; one that only waits to be reaped does not."""
        try:
            return self == Mark.of(self.pid) and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.Error):
            return False


class Ledger:
    """The supervisor's list of its processes by name, on disk before anything can depend on them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marks: dict[str, Mark] = {}

    def add(self, name: str, pid: int) -> None:
        """Note a process that was just started; it takes the place of an earlier one of that name."""
        self._marks[name] = Mark.of(pid)
        self._write()

    def rename(self, name: str, new: str) -> None:
        """Note that the process `name` goes by another name."""
        if name in self._marks:
            self._marks[new] = self._marks.pop(name)
            self._write()

    def remove(self, name: str) -> None:
        """Note that the process `name` has ended for good."""
        if self._marks.pop(name, None):
            self._write()

    def clear(self) -> None:
        """Everything has ended."""
        self._marks.clear()
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_json(self._path, {name: asdict(mark) for name, mark in self._marks.items()})


def read_marks(path: Path) -> dict[str, Mark]:
    """The living processes of a ledger, by name."""
    marks = {name: Mark(**entry) for name, entry in read_json(path).items()}
    return {name: mark for name, mark in marks.items() if mark.is_alive()}


def family(pid: int) -> list[int]:
    """The process and all its descendants, its own pid first."""
    try:
        process = psutil.Process(pid)
        return [pid, *sorted(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def end(marks: Iterable[Mark], stop_signal: signal.Signals = signal.SIGTERM, grace: float = GRACE) -> None:
    """End the processes: first by asking, after `grace` seconds by force."""
    alive = list(marks)
    for number in (stop_signal, signal.SIGKILL):
        for mark in (each for each in alive if each.is_alive()):
            _signal(mark, number)
        alive = left_after(grace, alive)
    if alive:
        raise PlatformError(f"Process {alive[0].pid} of an earlier run can't be ended; end it by hand.")


def left_after(seconds: float, marks: list[Mark]) -> list[Mark]:
    """Those that still run then. Polled by mark: where nobody reaps orphans, a dead process keeps its pid."""
    deadline = time.monotonic() + seconds
    while (alive := [mark for mark in marks if mark.is_alive()]) and time.monotonic() < deadline:
        time.sleep(POLL)
    return alive


def end_postgres_in(home: Path) -> None:
    """End every PostgreSQL process whose working folder is the cluster: orphans of a killed server write to it."""
    found = [process.pid for process in psutil.process_iter(["name"]) if _serves(process, home)]
    end(marks_of(found), signal.SIGQUIT)


def marks_of(pids: Iterable[int]) -> Iterator[Mark]:
    """The marks of those that live; a process may end at any moment."""
    for pid in pids:
        with contextlib.suppress(OSError):
            yield Mark.of(pid)


def _serves(process: psutil.Process, home: Path) -> bool:
    try:
        return process.info["name"] == "postgres" and Path(process.cwd()) == home.resolve()
    except (psutil.Error, OSError):
        return False


def _signal(mark: Mark, number: signal.Signals) -> None:
    """Send the signal, and wake a frozen process to receive it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(mark.pid, number)
        os.kill(mark.pid, signal.SIGCONT)
