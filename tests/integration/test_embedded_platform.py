"""`penstock up` as a process supervisor: one platform a folder, no orphans, everything comes back."""

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from penstock.platform.leftovers import Mark, marks_of
from tests.support.platform import PENSTOCK, Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("heavy")]

SERVICES = {"api", "inference", "billing", "worker", "scheduler", "indexer"}
ALL = SERVICES | {"supervisor", "zygote", "nats", "postgres"}


@pytest.fixture
def platform(data_folder: Path) -> Iterator[Platform]:
    """A platform of one's own, to be killed."""
    with running(Platform(data_folder)) as platform:
        yield platform


def marks(platform: Platform) -> list[Mark]:
    return list(marks_of(platform.pids()))


def wait_for_end(those: list[Mark], seconds: float) -> list[Mark]:
    """Who still runs after that time."""
    deadline = time.monotonic() + seconds
    while any(mark.is_alive() for mark in those) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [mark for mark in those if mark.is_alive()]


def lasting(facts: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without what may change from one moment to the next: the processes that others started."""
    return {**facts, "processes": {name: pids[0] for name, pids in facts["processes"].items()}}


def wait_for_restart(platform: Platform, name: str, former: int) -> dict[str, Any]:
    """The snapshot in which a process has come back under another pid, and api answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        facts: dict[str, Any] = platform.cli_json("status")
        if facts["processes"].get(name, [former])[0] != former and facts["models"]:
            return lasting(facts)
        time.sleep(0.1)
    pytest.fail(f"{name} did not come back")


async def test_what_up_prints_is_true(platform: Platform) -> None:
    """One line, also from `status`; every process is named; fsync is on; secrets are private."""
    assert set(platform.info["processes"]) == ALL
    assert "sim/fast" in platform.info["models"]
    assert lasting(platform.cli_json("status")) == lasting(platform.info)
    connection = await asyncpg.connect(platform.info["database"])
    assert await connection.fetchval("show fsync") == "on"
    await connection.close()
    for name in ("credentials.json", "passwords.json", "state.json"):
        assert stat.S_IMODE((platform.data / name).stat().st_mode) == 0o600


def test_each_service_tells_its_own_metrics_only(platform: Platform) -> None:
    """Their processes have the code of all services in memory."""
    for service in SERVICES:
        process = psutil.Process(platform.pids(service)[0])
        port = next(c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        told = {name for name in SERVICES if f"penstock_{name}_" in page}
        assert told <= {service}, service
        assert "penstock_outbox_published" in page


def test_a_second_up_is_refused_in_one_sentence(platform: Platform) -> None:
    """It names the process and the address of the first, and harms nothing."""
    refusal = platform.cli("up", "--json", "--data", str(platform.data), check=False)
    assert refusal.returncode == 1
    assert refusal.stdout == ""
    assert refusal.stderr.count("\n") == 1
    assert str(platform.info["processes"]["supervisor"][0]) in refusal.stderr
    assert platform.info["base_url"] in refusal.stderr
    assert lasting(platform.cli_json("status"))["processes"] == lasting(platform.info)["processes"]


def test_no_orphan_survives_the_supervisor(platform: Platform) -> None:
    """kill -9 of the supervisor alone ends everything it had started."""
    those = marks(platform)
    platform.kill("supervisor")
    assert wait_for_end(those, 15) == []
    assert platform.cli("status", check=False).returncode == 3


def test_everything_comes_back_after_kill_of_everything(platform: Platform) -> None:
    """The same keys and data at the next start, whatever was left behind."""
    platform.kill_everything()
    former = platform.info
    platform.start()
    assert platform.info["api_key"] == former["api_key"]
    assert set(platform.info["processes"]) == ALL


def test_a_killed_process_is_started_again(platform: Platform) -> None:
    """Each comes back at the same address, and the others keep running."""
    for name in sorted(ALL - {"supervisor"}):
        before = lasting(platform.cli_json("status"))
        after = wait_for_restart(platform, name, platform.kill(name))
        assert after.pop("processes") == {**before.pop("processes"), name: platform.pids(name)[0]}
        assert after == before


def test_interrupt_stops_cleanly(platform: Platform) -> None:
    """Exit code 0, no traceback, nothing left running, the database shut down in order."""
    those = marks(platform)
    platform.stop()
    assert platform.process
    assert platform.process.returncode == 0
    assert wait_for_end(those, 0) == []
    assert "Traceback" not in platform.log_tail(10_000)
    assert "database system is shut down" in (platform.data / "logs" / "postgres.log").read_text()


def test_down_waits_for_the_last_process(platform: Platform) -> None:
    """When `down` returns nothing runs; another `down` has nothing to do; `status` says so with exit code 3."""
    those = marks(platform)
    platform.cli("down")
    assert wait_for_end(those, 0) == []
    assert "nothing runs" in platform.cli("down").stdout
    assert platform.cli("status", "--json", check=False).returncode == 3


async def test_given_servers_are_used_and_left_alone(data_folder: Path, nats_url: str, postgres_database: str) -> None:
    """With --bus and --database no server is embedded, an empty database is set up, and both outlive the platform."""
    options = ["--bus", nats_url, "--database", postgres_database]
    with running(Platform(data_folder, options)) as platform:
        assert set(platform.info["processes"]) == SERVICES | {"supervisor", "zygote"}
        assert (platform.info["bus"], platform.info["database"]) == (nats_url, postgres_database)
        assert "sim/fast" in platform.info["models"]
    connection = await asyncpg.connect(postgres_database)
    assert await connection.fetchval("select count(*) from billing.alembic_version") == 1
    await connection.close()


def test_a_taken_port_is_refused_with_its_owner(data_folder: Path) -> None:
    """An explicit port is a promise that can't be kept by taking another."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = subprocess.run(
            [PENSTOCK, "up", "--data", data_folder, "--port", str(port)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"Port {port} is taken by process {os.getpid()}" in done.stderr


def test_a_stop_while_starting_leaves_nothing(data_folder: Path) -> None:
    """Ctrl-C in the first second is a stop like any other."""
    process = subprocess.Popen([PENSTOCK, "up", "--json", "--data", data_folder], stdout=subprocess.PIPE, text=True)
    ledger = data_folder / "processes.json"
    while not (ledger.exists() and "nats" in ledger.read_text()):
        time.sleep(0.02)
    those = [Mark(**entry) for entry in json.loads(ledger.read_text()).values()]
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert printed == ""
    assert wait_for_end(those, 0) == []
