"""Disks that can be full: a small file system where one can be mounted, else a limit of what files may hold."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

SIZE = 1536  # MiB; the file is sparse
BALLAST = "ballast"
SCRATCH = 1  # bytes that a file may have where nothing can be mounted: each write beyond it fails


class Disk(Protocol):
    """Where a server keeps its data."""

    name: str
    """What it is, for the report."""

    def fill(self, pids: Sequence[int]) -> None:
        """From now on there is no room for a server of these processes."""

    def free(self, pids: Sequence[int]) -> None:
        """There is room again."""

    def remove(self) -> None:
        """Give back what it took."""


class LoopDisk:
    """A file system of its own, in a sparse file. Raises OSError, CalledProcessError where none can be made."""

    name = "a loop file system"

    def __init__(self, folder: Path) -> None:
        self.folder, self.image = folder, folder.with_name(f"{folder.name}.image")
        with self.image.open("wb") as image:
            image.truncate(SIZE << 20)
        try:
            _run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(self.image))
            _run("mount", "-o", "loop", str(self.image), str(folder))
        except (OSError, subprocess.CalledProcessError):
            self.image.unlink()
            raise
        folder.chmod(0o711)

    def fill(self, pids: Sequence[int]) -> None:
        """To the last block."""
        ballast = os.open(self.folder / BALLAST, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for step in (1 << 20, 1 << 12):
                self._grow(ballast, step)
        finally:
            os.close(ballast)

    def _grow(self, ballast: int, step: int) -> None:
        """By what is free, and then in steps until nothing is."""
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.folder).free // step * step
            os.posix_fallocate(ballast, os.fstat(ballast).st_size, max(step, free))
            while True:
                os.posix_fallocate(ballast, os.fstat(ballast).st_size, step)

    def free(self, pids: Sequence[int]) -> None:
        """As somebody who deletes what nobody needs."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount it, whoever still looks at it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)
        self.image.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class SizeLimit:
    """RLIMIT_FSIZE of the running server: every write that would make a file longer fails."""

    name = "RLIMIT_FSIZE"

    def fill(self, pids: Sequence[int]) -> None:
        """For each of its processes."""
        _limit(pids, SCRATCH)

    def free(self, pids: Sequence[int]) -> None:
        """For each that is still there."""
        _limit(pids, resource.RLIM_INFINITY)

    def remove(self) -> None:
        """Nothing was taken."""


def _limit(pids: Sequence[int], size: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def make_disk(folder: Path) -> Disk:
    """One for a server that keeps everything below a folder, which is still empty."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            return LoopDisk(folder)
    return SizeLimit()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
