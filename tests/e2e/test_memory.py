"""The whole house fits on a laptop."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from measuring.processes import pss_mb
from tests.support.platform import Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("heavy")]

LIMIT_MB = 800
SETTLED_SECONDS = 5.0
SERVICES = ("api", "inference", "billing", "worker", "scheduler", "indexer")
AGENT = '{"steps": [{"name": "a", "kind": "agent", "model": "sim/fast", "prompt": "sim: say hello"}]}'


@pytest.fixture
def platform(data_folder: Path) -> Iterator[Platform]:
    """A platform with embedded servers."""
    with running(Platform(data_folder)) as platform:
        yield platform


def test_everything_idle_fits_in_800_mb(platform: Platform, tmp_path: Path) -> None:
    """Once every part did its work: model weights, vectors, agents' library and servers are in memory, and counted."""
    (tmp_path / "water.txt").write_text("A penstock brings water to the turbines.")
    (tmp_path / "agent.json").write_text(AGENT)
    platform.cli("kb", "create", "water")
    platform.cli("kb", "add", "water", str(tmp_path / "water.txt"))
    assert "turbines" in platform.cli("kb", "search", "water", "What brings water?").stdout
    platform.cli("tasks", "apply", str(tmp_path / "agent.json"), "--name", "greet")
    platform.cli("runs", "start", "greet", "--watch")
    time.sleep(SETTLED_SECONDS)
    memory = pss_mb(platform.cli_json("status")["processes"])
    print({role: round(mb) for role, mb in memory.items()}, round(sum(memory.values())))
    assert set(SERVICES) <= set(memory)
    assert memory["inference"] > memory["billing"] + 60, "the embedding model is not in memory: nothing was measured"
    assert sum(memory.values()) < LIMIT_MB
