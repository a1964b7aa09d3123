"""What the documents tell a newcomer to type works as written."""

import os
import subprocess

import pytest

from tests.support.docs import Block, run_on_platform
from tests.support.platform import ROOT, Platform

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


@pytest.mark.parametrize("block", list(run_on_platform(ROOT)), ids=lambda block: f"{block.path.name}:{block.line}")
def test_commands_work_on_a_running_platform(platform: Platform, block: Block) -> None:
    """Each command of the block ends well, in one shell as when it is pasted."""
    environment = {**os.environ, "PENSTOCK_DATA": str(platform.data)}
    command = ["bash", "-exo", "pipefail", "-c", "\n".join(block.lines())]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, f"{block.where}: {result.stdout}{result.stderr}"
