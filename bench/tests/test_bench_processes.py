"""The CPU and memory instruments see whole process trees, and lose nothing when a child dies."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from measuring.processes import CpuMeter, cpu_seconds, listener, members, pss_mb

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", {burn!r}], check=True)
block = bytearray(b"x" * 30_000_000)
print(subprocess.Popen([sys.executable, "-c", "input()"]).pid, flush=True)
input()
"""


@contextmanager
def family(burn_seconds: float) -> Iterator[tuple[int, int]]:
    """Run a parent whose first child burnt CPU and died and whose second one waits; give both pids."""
    script = PARENT.format(burn=BURN.format(seconds=burn_seconds))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        yield parent.pid, int(parent.stdout.readline())
        parent.kill()


def test_a_dead_childs_cpu_is_counted_for_its_parent() -> None:
    """What a child used before it died is not lost."""
    with family(burn_seconds=0.4) as (parent, _):
        assert 0.4 <= cpu_seconds({"service": [parent]})["service"] < 2


def test_descendants_count_for_their_nearest_listed_ancestor() -> None:
    """A child that isn't listed belongs to its parent's role, a listed one to its own."""
    with family(burn_seconds=0) as (parent, child):
        alone = {process.pid: role for role, process in members({"a": [parent]})}
        listed = {process.pid: role for role, process in members({"a": [parent], "b": [child]})}
    assert alone == {parent: "a", child: "a"}
    assert listed == {parent: "a", child: "b"}


def test_memory_is_by_role_in_megabytes() -> None:
    """Thirty million bytes that a process touched show in its role's figure."""
    with family(burn_seconds=0) as (parent, child):
        memory = pss_mb({"big": [parent], "small": [child]})
    assert 30 < memory["big"] < 60
    assert memory["small"] < 20


def test_meter_tells_platform_from_instruments() -> None:
    """CPU that our own process burns is neither the platform's nor foreign."""
    with family(burn_seconds=0) as (parent, _):
        meter = CpuMeter.start({"service": [parent]}, [os.getpid()])
        exec(BURN.format(seconds=0.5))
        used, others = meter.read()
        with_us_as_foreign = CpuMeter(meter.listed, [], meter.begun, 0.0, meter.begun_busy).read()[1]
    assert used["service"] < 0.2
    assert with_us_as_foreign - others >= 0.3


def test_listener_is_found_by_url() -> None:
    """The bus given by URL is found by the port on which it listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listener(f"amqp://u:p@127.0.0.1:{port}/vhost") == os.getpid()
    assert listener(f"amqp://127.0.0.1:{port}") is None
