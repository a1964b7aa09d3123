"""The systemd units and the files that configure them, as tests read them."""

import subprocess
from pathlib import Path

UNITS = Path(__file__).parents[2] / "deploy/systemd"
HOME = "/opt/penstock"
"""Where the units expect the checkout."""


def configure(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/systemd/configure, which writes into the folder."""
    command = [str(UNITS / "configure"), "--to", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def variables(env_file: Path) -> dict[str, str]:
    """What an environment file holds."""
    return dict(line.split("=", 1) for line in env_file.read_text().splitlines())
