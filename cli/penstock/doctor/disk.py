"""The data folder: there, private, writable, with room."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from penstock.doctor.finding import Finding, Level, Patient
from penstock.platform.account import server_account
from penstock.platform.errors import PlatformError
from penstock.platform.folder import check_reachable

DISK, PERMISSIONS = "disk", "permissions"
PROBE_BYTES = 1 << 20
LEAST_FREE, LITTLE_FREE = 100 << 20, 1 << 30  # bytes; PostgreSQL's log alone may take the latter
REASONS = {
    errno.ENOSPC: ("the disk is full", "free space there, or choose another --data"),
    errno.EDQUOT: ("the quota is used up", "raise it, or free space there"),
    errno.EROFS: ("the file system is read-only", "mount it for writing (see dmesg for why it is not)"),
    errno.EFBIG: ("files may not grow", "raise the limit of file sizes (ulimit -f)"),
    errno.EACCES: ("this user may not write there", "give the folder to this user: chown -R USER FOLDER"),
    errno.EPERM: ("this user may not write there", "give the folder to this user: chown -R USER FOLDER"),
}
PRIVATE = ("passwords.json", "credentials.json", "state.json", "processes.json", "keyring", "secrets")


async def check_disk(patient: Patient) -> list[Finding]:
    """Write a megabyte, and see what is left."""
    root = patient.folder.root
    place = next(path for path in (root, *root.parents) if path.exists())
    try:
        _write_probe(place)
    except OSError as error:
        usual = (error.strerror or "writing fails", f"see why {place} can't be written")
        problem, mend = REASONS.get(error.errno or 0, usual)
        return [Finding(DISK, Level.FAIL, f"{problem}: nothing can be kept", str(place), mend)]
    return [_judged(place)]


def _judged(place: Path) -> Finding:
    facts = os.statvfs(place)
    free = facts.f_bavail * facts.f_frsize
    if free >= LITTLE_FREE:
        return Finding(DISK)
    level = Level.FAIL if free < LEAST_FREE else Level.WARN
    problem = f"the disk is nearly full: {free >> 20} MiB are free"
    return Finding(DISK, level, problem, str(place), "free space there, or choose another --data")


def _write_probe(place: Path) -> None:
    probe = place / f".doctor-{os.getpid()}"
    try:
        with open(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(os.urandom(PROBE_BYTES))  # nothing that a file system could store in less
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


async def check_permissions(patient: Patient) -> list[Finding]:
    """Whether others can read keys, or this user can't."""
    root = patient.folder.root
    if not root.exists():
        return [Finding(PERMISSIONS, Level.SKIPPED, "there is no data folder yet; penstock up makes it", str(root))]
    findings = [*_folder(root), *_reachable(patient), *_files(root)]
    return findings or [Finding(PERMISSIONS)]


def _folder(root: Path) -> Iterator[Finding]:
    mode = root.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "others can put files into the data folder"
        yield Finding(PERMISSIONS, Level.FAIL, problem, str(root), f"run: chmod go-w {root}")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        problem = "this user can't use the data folder"
        yield Finding(PERMISSIONS, Level.FAIL, problem, str(root), f"run: chown -R $(id -u) {root}")


def _reachable(patient: Patient) -> Iterator[Finding]:
    """PostgreSQL does not run as root: its own account has to get to its folder."""
    account = server_account()
    if account.foreign and not (patient.database and patient.state is None):
        try:
            check_reachable(patient.folder.root, account)
        except PlatformError as error:
            yield Finding(PERMISSIONS, Level.FAIL, str(error), str(patient.folder.root), "see there")


def _files(root: Path) -> Iterator[Finding]:
    for path in (each for name in PRIVATE for each in _tree(root / name)):
        facts = path.stat()
        if facts.st_mode & 0o077:
            problem = f"others can read or change it (mode {stat.S_IMODE(facts.st_mode):04o}), and it holds keys"
            yield Finding(PERMISSIONS, Level.FAIL, problem, str(path), f"run: chmod go= {path}")
        elif not os.access(path, os.R_OK):
            problem = "this user can't read it"
            yield Finding(PERMISSIONS, Level.FAIL, problem, str(path), f"run: chown $(id -u) {path}")


def _tree(path: Path) -> Iterator[Path]:
    if path.exists():
        yield path
        yield from path.rglob("*") if path.is_dir() else ()
