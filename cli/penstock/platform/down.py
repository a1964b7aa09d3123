"""Stopping the platform of a data folder from outside."""

import os
import signal

from penstock.platform import leftovers
from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import SUPERVISOR

PATIENCE = 60.0  # seconds: the longest orderly stop


def stop_platform(folder: DataFolder) -> list[str]:
    """End supervisor and leftovers and wait for them; gives the names of what was ended."""
    marks = leftovers.read_marks(folder.processes)
    names = sorted(marks)
    supervisor = marks.pop(SUPERVISOR, None)
    if supervisor:
        os.kill(supervisor.pid, signal.SIGTERM)
        if leftovers.left_after(PATIENCE, [supervisor]):
            raise PlatformError(
                f"Process {supervisor.pid} did not stop within {PATIENCE:.0f} s; end it by force with: "
                f"kill -9 {supervisor.pid}"
            )
    postgres = [marks.pop("postgres")] if "postgres" in marks else []
    leftovers.end(marks.values())
    leftovers.end(postgres, signal.SIGINT)
    return names
