"""The examples, each by its one command, on each bus."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["monitoring", "github", "handbook"])
def test_example_does_what_it_says(name: str, bus_url: str) -> None:
    """Every example checks its own outcome, and ends with exit code 0 only where it is right."""
    command = [sys.executable, "-m", f"examples.{name}", "--bus", bus_url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "$ penstock" in done.stdout


def test_example_that_goes_wrong_says_so(bus_url: str) -> None:
    """Without a second failure there is no alert: the example ends with an error, not in silence."""
    command = [sys.executable, "-m", "examples.monitoring", "--bus", bus_url, "--every", "1d", "--patience", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 1
    assert "no site.down within 3 s" in done.stderr
