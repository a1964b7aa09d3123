"""Faults of the machine, each really made: disk, permissions, port."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.platform.ports import LOOPBACK, free_ports
from tests.support.doctor import Report, doctor, report_of

pytestmark = pytest.mark.integration


@pytest.fixture
def root(data_folder: Path) -> Path:
    """A data folder as a platform leaves it."""
    data_folder.mkdir(mode=0o711)
    (data_folder / "keyring").mkdir(mode=0o700)
    for name in ("passwords.json", "credentials.json", "keyring/key"):
        (data_folder / name).write_text("{}")
        (data_folder / name).chmod(0o600)
    return data_folder


def on_its_own_disk(mount: str, root: Path) -> Report:
    """Ask it with another file system at the data folder, which only this child sees."""
    script = f'mount -t tmpfs {mount} none "$0" && exec "$1" -m penstock.main doctor --json --data "$0"'
    namespace = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    command = ["unshare", *namespace, "sh", "-c", script, str(root), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout, done.stderr
    return report_of(done.stdout, done.returncode)


def test_nothing_is_wrong_where_nothing_runs(root: Path) -> None:
    """What can't be looked at is said to be so; what can is fine."""
    report = doctor("--data", str(root))
    assert (report.code, report.wrong) == (0, {})
    assert {f["check"] for f in report.findings if f["level"] == "skipped"} == {
        *("processes", "database", "bus", "api", "dead letters", "audit"),
    }
    assert "make up" in report.of("bus")["problem"]


def test_without_a_folder_it_looks_where_that_will_be(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    report = doctor("--data", str(tmp_path / "not" / "yet"))
    assert (report.code, report.of("disk")["level"]) == (0, "ok")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_found(root: Path) -> None:
    """By writing, not by asking."""
    assert on_its_own_disk("-o size=64k", root).names("disk", "the disk is full", str(root))


def test_a_disk_that_is_nearly_full_is_found(root: Path) -> None:
    """Before it is too late."""
    assert on_its_own_disk("-o size=20m", root).names("disk", "MiB are free", str(root))


def test_a_read_only_disk_is_found(root: Path) -> None:
    """As the system remounts one that it does not trust."""
    assert on_its_own_disk("-o ro", root).names("disk", "the file system is read-only", str(root))


@pytest.mark.parametrize("name", ["credentials.json", "keyring/key"])
def test_keys_that_others_can_read_are_found(root: Path, name: str) -> None:
    """Each file by its name."""
    (root / name).chmod(0o644)
    assert doctor("--data", str(root)).names("permissions", "others can read or change it (mode 0644)", name)


def test_a_folder_that_others_can_write_is_found(root: Path) -> None:
    """They could put their own keys there."""
    root.chmod(0o777)
    assert doctor("--data", str(root)).names("permissions", "others can put files into", str(root))


def test_a_folder_that_postgres_can_not_reach_is_found(root: Path) -> None:
    """As in root's home: PostgreSQL has an account of its own there. Another user is that account himself."""
    root.parent.chmod(0o700)
    report = doctor("--data", str(root))
    assert report.names("permissions", "can't enter", str(root)) == (os.geteuid() == 0)


def test_a_taken_port_is_found_with_its_owner(root: Path) -> None:
    """The pid is what one needs to free it."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        report = doctor("--data", str(root), "--port", str(port))
    assert report.names("port", f"port {port} is taken by process {os.getpid()}", f":{port}")
    (free,) = free_ports(1)
    assert doctor("--data", str(root), "--port", str(free)).of("port")["level"] == "ok"
