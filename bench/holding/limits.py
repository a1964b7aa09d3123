"""What the machine must allow before thousands of streams can be open at once on it."""

import resource
from dataclasses import dataclass
from pathlib import Path

import psutil

from measuring.tools import BenchError

SPARE_FILES = 500
"""What a process opens beside its streams: logs, libraries, bus, database."""
BASE_BYTES, STREAM_BYTES = 1_500_000_000, 300_000
"""Memory of everything without streams, and of one stream in load generator, engine and platform together."""


@dataclass(frozen=True)
class Machine:
    """What this machine allows."""

    open_files: int
    """The most that a process of ours may open: the hard limit."""
    ports: int
    """Local ports for connections."""
    memory: int
    """Bytes that are free or can be freed."""

    @classmethod
    def here(cls) -> "Machine":
        """Ask the system."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        unlimited = files == resource.RLIM_INFINITY
        return cls(1 << 30 if unlimited else files, high - low + 1, psutil.virtual_memory().available)


def check(streams: int, machine: Machine) -> None:
    """Raise BenchError with every limit that is too low for that many streams, and how to raise it."""
    lacks = []
    if machine.open_files < (files := streams + SPARE_FILES):
        lacks.append(
            f"each stream is an open file in load generator, api, inference and engine: {files} are needed in one "
            f"process, {machine.open_files} are allowed; raise it: "
            f"ulimit -Hn {files} as root, or LimitNOFILE= in systemd"
        )
    if machine.ports < streams:
        lacks.append(
            f"each stream needs a local port: there are {machine.ports}; "
            "widen it: sysctl -w net.ipv4.ip_local_port_range='1024 65535'"
        )
    if machine.memory < (memory := BASE_BYTES + streams * STREAM_BYTES):
        lacks.append(f"{memory / 1e9:.1f} GB of memory are needed, {machine.memory / 1e9:.1f} are free")
    if lacks:
        raise BenchError(f"{streams} streams can't be open at once here (try fewer: --streams): " + "; ".join(lacks))


def raise_own() -> None:
    """Allow this process and what it starts as many open files as the system lets it have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
