"""A running platform goes to another bus and back, under load, whoever is killed meanwhile."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.test_restart import Streams, until
from tests.support.keeper import virtual_host
from tests.support.load import Crowd
from tests.support.platform import PENSTOCK, ROOT, Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.xdist_group("heavy")]

MOVE_SECONDS = 240.0
STEPS = (
    "billing runs on the new bus too",
    "the new bus is laid out",
    "api runs on the new bus too",
    "scheduler and api leave",
    "worker and indexer leave",
    "inference and billing leave",
    "are handed over",
)
KILLS = len(STEPS) if os.environ.get("PENSTOCK_KILL_EACH_STEP") else 1
"""At how many of them the platform is killed: all takes minutes."""


@contextmanager
def load(platform: Platform) -> Iterator[None]:
    """Requests and long streams; afterwards none was refused, broken or charged wrongly."""
    with Crowd(platform) as crowd, Streams(platform) as streams:
        until(lambda: len(crowd.told.answered) > 20 and streams.whole > 0, 60)
        yield
        before_end = len(crowd.told.answered), streams.whole
        until(lambda: len(crowd.told.answered) > before_end[0] + 20 and streams.whole > before_end[1], 60)
    assert (crowd.told.failed, crowd.told.broken, streams.failures) == ({}, 0, [])
    check_books(platform)


def check_books(platform: Platform) -> None:
    """The four records agree, and every consumer has handled all that was published."""
    report = platform.cli_json("reconcile", "--settle", "60", check=False)
    assert report["clean"], report["differences"][:10]
    until(lambda: platform.cli_json("bus", "rebuild", "--dry-run")["owed"] == 0, 60)


def move(platform: Platform, to: str) -> "subprocess.Popen[str]":
    """Order a move."""
    return subprocess.Popen(
        [PENSTOCK, "bus", "migrate", "--to", to, "--data", platform.data],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def said(moving: "subprocess.Popen[str]") -> str:
    """What the command said until its end, which is a good one."""
    out, _ = moving.communicate(timeout=MOVE_SECONDS)
    assert moving.returncode == 0, out
    return out


def heard(moving: "subprocess.Popen[str]", wanted: str) -> None:
    """Read what the command says until it says this."""
    assert moving.stdout
    lines = []
    for line in moving.stdout:
        lines.append(line)
        if wanted in line:
            return
    raise AssertionError("".join(lines))


def bus_of(platform: Platform) -> str:
    """The bus that the platform uses, as commands are told."""
    url: str = platform.cli_json("status")["bus"]
    return url


def test_there_and_back(reachable_folder: Path) -> None:
    """Embedded NATS, RabbitMQ, embedded NATS; the command, then the whole platform is killed midway."""
    with virtual_host() as url, running(Platform(reachable_folder / "moved")) as platform:
        with load(platform):
            began = time.monotonic()
            first = move(platform, url)
            heard(first, "inference runs on the new bus too")
            first.kill()
            first.communicate()
            assert "moved: nothing is left" in said(move(platform, url))
            print(f"\nto RabbitMQ in {time.monotonic() - began:.1f} s")
        status = platform.cli_json("status")
        assert status["bus"] == url
        assert "nats" not in status["processes"]
        assert "uses this bus already" in said(move(platform, url))
        for number, step in enumerate(STEPS[:KILLS]):
            killed_at(platform, step, "embedded" if number % 2 == 0 else url)
        with load(platform):
            pass
        entries = platform.cli_json("audit", "log", "--act", "bus.migrate")["entries"]
        assert {"begun", "done"} <= {entry["phase"] for entry in entries}


def killed_at(platform: Platform, step: str, to: str) -> None:
    """The platform dies by a power cut in the midst of a move under load; its next start goes on by itself."""
    with Crowd(platform):
        moving = move(platform, to)
        heard(moving, step)
        platform.kill_everything()
    moving.communicate(timeout=90)
    platform.start()
    print(f"\nkilled at {step!r}: starts on {bus_of(platform).partition(':')[0]}")
    wanted = "nats:" if to == "embedded" else "amqp:"
    until(lambda: bus_of(platform).startswith(wanted), MOVE_SECONDS)
    said(move(platform, to))
    check_books(platform)
