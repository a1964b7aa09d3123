"""CPU and memory of the platform's processes, by role, with all their descendants."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

Listed = Mapping[str, Sequence[int]]
"""Role → process ids; a descendant that isn't listed itself counts for its nearest listed ancestor."""


def members(listed: Listed) -> Iterator[tuple[str, psutil.Process]]:
    """Give every living process of the roles, each once."""
    role_of = {pid: role for role, pids in listed.items() for pid in pids}
    alive = {process.pid: process for process in psutil.process_iter(["ppid"])}
    for pid, process in alive.items():
        ancestor = pid
        while ancestor in alive and ancestor not in role_of:
            ancestor = alive[ancestor].info["ppid"]
        if ancestor in role_of:
            yield role_of[ancestor], process


def cpu_seconds(listed: Listed) -> dict[str, float]:
    """Give user and system seconds since start by role.

    What a dead child used is in its parent's children's time, so that nothing is lost between two readings.
    """
    total: dict[str, float] = defaultdict(float)
    for role, process in members(listed):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total[role] += times.user + times.system + times.children_user + times.children_system
    return dict(total)


def pss_mb(listed: Listed) -> dict[str, float]:
    """Give the proportional set size by role in MB (10⁶ bytes); shared pages are counted once over all."""
    total: dict[str, float] = defaultdict(float)
    for role, process in members(listed):
        try:
            total[role] += process.memory_full_info().pss / 1e6
        except psutil.NoSuchProcess:
            continue
    return dict(total)


@dataclass(frozen=True)
class CpuMeter:
    """Reads CPU used since `start`, by role, and what the rest of the machine used meanwhile."""

    listed: Listed
    ours: Sequence[int]
    begun: Mapping[str, float]
    begun_ours: float
    begun_busy: float

    @classmethod
    def start(cls, listed: Listed, ours: Sequence[int]) -> "CpuMeter":
        """Begin; `ours` are the instruments' processes, which are neither the platform nor foreign."""
        return cls(listed, ours, cpu_seconds(listed), _seconds(ours), _busy_seconds())

    def read(self) -> tuple[dict[str, float], float]:
        """Give the seconds by role, and the seconds of processes that are neither platform nor instrument."""
        now = cpu_seconds(self.listed)
        used = {role: seconds - self.begun.get(role, 0.0) for role, seconds in now.items()}
        known = sum(used.values()) + _seconds(self.ours) - self.begun_ours
        return used, max(0.0, _busy_seconds() - self.begun_busy - known)


def listener(url: str) -> int | None:
    """Give the process that listens on the URL's port of this machine, if the system shows it."""
    port = urlsplit(url).port
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return connection.pid
    return None


def _seconds(pids: Sequence[int]) -> float:
    return sum(cpu_seconds({"ours": pids}).values())


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
